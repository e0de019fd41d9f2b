/** The options of `lora-wasm train`: names, meanings and defaults in one table, of which the command, its help and docs/train.md are made. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ScheduleKind } from '../../optim/schedule.js';
import { type ModelFlags, number, runOptions } from '../model-options.js';

/** What the options give. */
export interface TrainFlags extends ModelFlags {
  readonly data: string;
  readonly out: string;
  readonly valid?: string;
  readonly validSplit?: number;
  readonly r: number;
  readonly loraAlpha: number;
  readonly loraDropout: number;
  readonly targetModules: 'all-linear' | readonly string[];
  readonly layers?: LayersFlag;
  readonly useDora?: boolean;
  readonly useRslora?: boolean;
  readonly loraPlusRatio: number;
  readonly batchSize: number;
  readonly gradAccumulation: number;
  readonly steps?: number;
  readonly epochs?: number;
  readonly lr: number;
  readonly schedule: ScheduleKind;
  readonly warmup: number;
  readonly weightDecay: number;
  readonly clipNorm: number;
  readonly maxSeqLength: number;
  readonly maskPrompt: boolean;
  readonly packing?: boolean;
  readonly gradCheckpoint?: boolean;
  readonly evalEvery?: number;
  readonly saveEvery: number;
  readonly keep: number;
  readonly resume?: boolean;
  readonly earlyStop?: number;
  readonly seed: number;
  readonly metrics?: string;
}

/** The last so many blocks, or these. */
export type LayersFlag = { readonly last: number } | { readonly these: readonly number[] };

/** One option. */
export interface TrainOption {
  /** As commander takes it: `--r <n>`. */
  readonly flags: string;
  readonly text: string;
  /** What it is where it is not given; undefined for nothing. */
  readonly otherwise?: number | string | boolean;
  /** That in words, where the value does not say it. */
  readonly shown?: string;
  readonly choices?: readonly string[];
  readonly read?: (text: string) => unknown;
}

const MANY = 2 ** 31 - 1;

function list(text: string): string[] | string {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('')) throw new InvalidArgumentError('Expected names with commas between them.');
  return names.length === 1 && names[0] === 'all-linear' ? 'all-linear' : names;
}

function layers(text: string): LayersFlag {
  const numbers = text.split(',').map((part) => number(0, MANY)(part));
  if (text.includes(',')) return { these: numbers };
  if (numbers[0] === 0) throw new InvalidArgumentError('Expected how many of the last blocks, from 1 up.');
  return { last: numbers[0]! };
}

/** Every option but those of all commands that run a model. */
export const TRAIN_OPTIONS: readonly TrainOption[] = [
  {
    flags: '--valid <file>',
    text: 'rows whose loss is measured, in the form of --data',
    shown: 'valid.jsonl in the folder of --data, if it is there',
  },
  {
    flags: '--valid-split <share>',
    text: 'this share of the rows of --data is measured and not learnt',
    shown: 'none',
    read: number(1e-9, 1 - 1e-9, false),
  },
  { flags: '--r <n>', text: 'rank of the adapter', otherwise: 8, read: number(1, 2 ** 20) },
  {
    flags: '--lora-alpha <x>',
    text: 'the adapter acts by alpha / r (with --use-rslora alpha / √r)',
    otherwise: 16,
    read: number(1e-9, 1e9, false),
  },
  {
    flags: '--lora-dropout <p>',
    text: "how often an element of the adapter's input is left out",
    otherwise: 0,
    read: number(0, 1 - 1e-9, false),
  },
  {
    flags: '--target-modules <names>',
    text: 'the layers that get one, such as q_proj,v_proj; all-linear: every one but the head',
    otherwise: 'all-linear',
    read: list,
  },
  {
    flags: '--layers <n | i,j,...>',
    text: 'in the last n blocks only, or in these, counted from 0',
    shown: 'all',
    read: layers,
  },
  { flags: '--use-dora', text: 'DoRA: magnitudes learn beside directions' },
  { flags: '--use-rslora', text: 'rank-stabilised scaling' },
  {
    flags: '--lora-plus-ratio <x>',
    text: 'LoRA+: the rate of B, and of magnitudes, is so many times that of A',
    otherwise: 1,
    read: number(1e-3, 1e6, false),
  },
  {
    flags: '--batch-size <n>',
    text: 'rows that are computed at a time',
    otherwise: 4,
    read: number(1, 65536),
  },
  { flags: '--grad-accumulation <n>', text: 'batches of a step', otherwise: 1, read: number(1, MANY) },
  {
    flags: '--epochs <n>',
    text: 'how often the data is gone through',
    shown: '1 without --steps',
    read: number(1, MANY),
  },
  {
    flags: '--steps <n>',
    text: 'steps in all, in place of --epochs',
    shown: 'those of the epochs',
    read: number(1, MANY),
  },
  { flags: '--lr <x>', text: 'learning rate (of AdamW)', otherwise: 2e-4, read: number(0, 1e6, false) },
  {
    flags: '--schedule <kind>',
    text: 'how the rate goes on behind the warm-up',
    otherwise: 'cosine',
    choices: ['constant', 'linear', 'cosine'],
  },
  {
    flags: '--warmup <n>',
    text: 'steps in which the rate rises; below 1: this share of them',
    otherwise: 0.03,
    read: warmup,
  },
  {
    flags: '--weight-decay <x>',
    text: 'decay of the factors, a step and rate',
    otherwise: 0,
    read: number(0, 1e6, false),
  },
  {
    flags: '--clip-norm <x>',
    text: 'largest norm of the gradients; 0 for any',
    otherwise: 1,
    read: number(0, 1e9, false),
  },
  {
    flags: '--max-seq-length <n>',
    text: 'tokens of a row at most; what is behind them is cut off and counted',
    otherwise: 512,
    read: number(2, 2 ** 20),
  },
  {
    flags: '--no-mask-prompt',
    text: 'learn prompts too, and what others than the assistant say',
    shown: 'answers alone count',
  },
  {
    flags: '--packing',
    text: 'fill sequences of --max-seq-length with rows; --batch-size counts sequences then',
  },
  {
    flags: '--grad-checkpoint',
    text: 'compute blocks again in backward: less memory, a third more time, the same numbers',
  },
  {
    flags: '--eval-every <n>',
    text: 'steps between measurements; 0 for never',
    shown: 'the end of each epoch',
    read: number(0, MANY),
  },
  {
    flags: '--early-stop <n>',
    text: 'end behind so many measurements without a better one, with the best',
    shown: 'never',
    read: number(1, MANY),
  },
  {
    flags: '--save-every <n>',
    text: 'steps between checkpoints; 0 for the end alone',
    otherwise: 100,
    read: number(0, MANY),
  },
  { flags: '--keep <n>', text: 'newest checkpoints that stay', otherwise: 2, read: number(1, MANY) },
  { flags: '--resume', text: 'go on from the checkpoint in --out; without one, begin' },
  {
    flags: '--seed <n>',
    text: 'of the first A, dropout, the order of rows and --valid-split',
    otherwise: 0,
    read: number(0, 2 ** 32 - 1),
  },
  { flags: '--metrics <file>', text: 'where the numbers of each step go', shown: 'metrics.jsonl in --out' },
];

function warmup(text: string): number {
  const value = number(0, MANY, false)(text);
  if (value >= 1 && !Number.isInteger(value))
    throw new InvalidArgumentError('Expected a whole number of steps, or a share below 1.');
  return value;
}

/** What an option is where it is not given, in words; empty for a switch that is off. */
export function defaultOf({ otherwise, shown }: TrainOption): string {
  return shown ?? (otherwise === undefined ? '' : String(otherwise));
}

/** Adds them to a command. */
export function trainOptions(command: Command): Command {
  command
    .requiredOption('--data <path>', 'rows of JSONL, or a folder with train.jsonl and valid.jsonl')
    .requiredOption('--out <dir>', 'a new folder for adapter, checkpoints, metrics.jsonl and loss.svg');
  for (const one of TRAIN_OPTIONS) {
    // Of what has no value commander would show none.
    const otherwise = one.shown === undefined ? '' : ` (default: ${one.shown})`;
    const option = new Option(one.flags, `${one.text}${otherwise}`);
    if (one.choices !== undefined) option.choices([...one.choices]);
    if (one.read !== undefined) option.argParser(one.read);
    if (one.otherwise !== undefined) option.default(one.otherwise);
    command.addOption(option);
  }
  return runOptions(command);
}

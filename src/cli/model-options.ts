/** The options that every command has which runs a language model, and how their texts are read. `main.ts` builds commands of them. */
import { type Command, InvalidArgumentError, Option } from 'commander';

/** What the options give. */
export interface ModelFlags {
  readonly model: string;
  readonly adapter?: readonly AdapterFlag[];
  readonly tokenizer?: string;
  readonly cache?: string;
  readonly sha256?: string;
  readonly threads: number | 'auto';
  readonly kernels: 'auto' | 'simd' | 'relaxed-simd';
  readonly maxMemory?: number;
  readonly json?: boolean;
}

/** An adapter's folder or file, as written, with a scale behind the last colon if there is one. */
export interface AdapterFlag {
  readonly text: string;
  readonly path: string;
  readonly scale: number;
}

const KERNELS = ['auto', 'simd', 'relaxed-simd'];

/** A reader of numbers for commander. */
export function number(low: number, high: number, whole = true): (text: string) => number {
  return (text) => {
    const value = Number(text);
    const fits = text.trim() !== '' && value >= low && value <= high && (!whole || Number.isInteger(value));
    if (!fits)
      throw new InvalidArgumentError(
        `Expected ${whole ? 'a whole number' : 'a number'} from ${low} to ${high}.`,
      );
    return value;
  };
}

/** One more of a repeated option. */
export function collect<T>(read: (text: string) => T): (text: string, before?: readonly T[]) => T[] {
  return (text, before = []) => [...before, read(text)];
}

function adapter(text: string): AdapterFlag {
  const [, path, scale] = /^(.+):(-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)$/is.exec(text) ?? [];
  if (path === undefined) return { text, path: text, scale: 1 };
  if (!Number.isFinite(Number(scale)))
    throw new InvalidArgumentError(`Its scale is ${scale}, expected a finite number.`);
  return { text, path, scale: Number(scale) };
}

function threads(text: string): number | 'auto' {
  return text === 'auto' ? 'auto' : number(1, 32)(text);
}

function sha256(text: string): string {
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new InvalidArgumentError('Expected 64 hexadecimal digits.');
  return text;
}

/** Adds them to a command that reads a model with adapters over it. */
export function modelOptions(command: Command): Command {
  return runOptions(command).option(
    '--adapter <dir[:scale]>',
    'an adapter over it (of PEFT, MLX, GGUF, kohya, loralib), at a scale; repeatable',
    collect(adapter),
  );
}

/** Adds those of the model itself, and of what computes. */
export function runOptions(command: Command): Command {
  const kernels = new Option('--kernels <name>', 'kernel build').choices(KERNELS).default('auto');
  return command
    .requiredOption(
      '--model <path>',
      'a model: a GGUF file or a folder as transformers writes it, by path or address',
    )
    .option('--tokenizer <file>', "a tokenizer.json in place of the model's own tokenizer")
    .option('--threads <n>', "threads that compute, or 'auto'", threads, 'auto')
    .addOption(kernels)
    .option('--cache <dir>', "where files behind an address are kept (default: in the user's cache folder)")
    .option('--sha256 <digits>', 'what the hash of the file must be', sha256)
    .option('--max-memory <MiB>', 'limit of memory for model, adapters and text', number(1, 4095))
    .option('--json', 'print one object of JSON at the end');
}

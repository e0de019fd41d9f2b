/** The rows of `lora-wasm train`: files by path or in a folder, parsed, split and put into batches. `command.ts` calls it. */
import { join } from 'node:path';
import type { LanguageModel } from '../../models/load-model.js';
import { type BatchSource, epochOrder } from '../../train/batches.js';
import { joinRows, type PackedRow, packRows } from '../../train/pack-rows.js';
import { parseRows, type TokenRow } from '../../train/rows.js';
import { Hash } from '../../values/hash.js';
import { kindOf, readTextFile, type TextFile } from '../files.js';
import { checkPath, UserError } from '../name-errors.js';
import type { TrainFlags } from './options.js';

/** The files of a job, read. */
export interface TrainFiles {
  readonly train: TextFile;
  readonly valid: TextFile | null;
}

/** Rows of a job. */
export interface TrainRows {
  readonly train: readonly TokenRow[];
  readonly valid: readonly TokenRow[];
}

/** The order that a split is drawn by: no epoch has it. */
const SPLIT = 2 ** 31 - 1;

/** Reads the files before anything else, since it takes no time. @throws UserError; file system errors */
export async function readTrainFiles({ data, valid, validSplit }: TrainFlags): Promise<TrainFiles> {
  checkPath(data, '--data');
  if (valid !== undefined) checkPath(valid, '--valid');
  if (valid !== undefined && validSplit !== undefined)
    throw new UserError('--valid and --valid-split are given, expected one of them');
  const folder = (await kindOf(data)) === 'folder';
  const train = await readTextFile(folder ? join(data, 'train.jsonl') : data, 'rows of JSONL');
  const beside = join(data, 'valid.jsonl');
  const found =
    valid ?? (folder && validSplit === undefined && (await kindOf(beside)) === 'file' ? beside : null);
  return { train, valid: found === null ? null : await readTextFile(found, 'rows of JSONL') };
}

/** @throws FormatError naming file and line; UserError */
export function rowsOfFiles(
  { train, valid }: TrainFiles,
  lm: LanguageModel,
  flags: TrainFlags,
  onWarning: (message: string) => void,
): TrainRows {
  const maxLength = Math.min(flags.maxSeqLength, lm.model.maxLength);
  const parse = ({ path: name, text }: TextFile): TokenRow[] =>
    parseRows(text, {
      ...{ tokenizer: lm.tokenizer!, chat: lm.chat, maxLength, name, onWarning },
      maskPrompt: flags.maskPrompt,
    });
  const rows = parse(train);
  if (valid !== null) return { train: rows, valid: parse(valid) };
  if (flags.validSplit === undefined) return { train: rows, valid: [] };
  const count = Math.round(rows.length * flags.validSplit);
  if (count < 1 || count >= rows.length)
    throw new UserError(
      `${train.path}: --valid-split ${flags.validSplit} of ${rows.length} rows is ${count}, expected 1 to ${rows.length - 1}`,
    );
  const drawn = new Set(epochOrder(rows.length, flags.seed, SPLIT).subarray(0, count));
  return { train: rows.filter((_, i) => !drawn.has(i)), valid: rows.filter((_, i) => drawn.has(i)) };
}

/** Rows in batches, each of which is one sequence. */
export interface TrainBatches extends BatchSource<PackedRow> {
  /** Tokens of all rows, and those that count. */
  readonly tokens: number;
  readonly counted: number;
  /** Tokens of a batch at most. */
  readonly longest: number;
}

/** @param length - of packed sequences; null for rows as they are */
export function batchesOf(
  given: readonly TokenRow[],
  batchSize: number,
  length: number | null,
): TrainBatches {
  const rows = length === null ? given : packRows(given, length);
  const sizes = rows.map(({ ids }) => ids.length);
  const hash = new Hash();
  for (const { ids, labels } of given) {
    hash.numbers(ids.length);
    for (const part of [ids, labels])
      hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  }
  return {
    ...{ rows: rows.length, batchSize, hash: hash.digest() },
    batch: (wanted) => joinRows(wanted.map((row) => rows[row]!)),
    tokens: sum(sizes),
    counted: sum(
      given.map(({ labels }) => labels.subarray(1).reduce((count, label) => count + Number(label >= 0), 0)),
    ),
    longest: sum([...sizes].sort((a, b) => b - a).slice(0, batchSize)),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Batches as the Trainer takes them, and the order in which an epoch has them. */
import { checkInteger, describe } from '../values/checks.js';

/**
 * Rows that are put into batches when they are wanted: each epoch draws its order over the rows, not over fixed batches.
 * @typeParam B - a batch
 */
export interface BatchSource<B> {
  /** How many rows there are. */
  readonly rows: number;
  /** Rows of a batch; the last one of an epoch may have fewer. */
  readonly batchSize: number;
  /** The batch of these rows. The same rows must give the same batch. */
  batch(rows: readonly number[]): B | Promise<B>;
  /** What tells these rows from others, such as a hash of their file: a checkpoint of other data is refused. */
  readonly hash?: string;
}

/** Batches in an array, or made out of rows. */
export type Batches<B> = readonly B[] | BatchSource<B>;

/** @internal Batches of either form. */
export interface CheckedBatches<B> {
  readonly rows: number;
  readonly batchSize: number;
  /** Batches of an epoch. */
  readonly count: number;
  batch(rows: readonly number[]): B | Promise<B>;
  /** What tells the data from others: the batches themselves, or the source's hash; null for a source without. */
  readonly identity: { readonly values: readonly B[] } | { readonly hash: string } | null;
}

/** @throws TypeError, RangeError */
export function checkBatches<B>(where: string, given: Batches<B>): CheckedBatches<B> {
  if (Array.isArray(given)) {
    const values = [...given] as readonly B[];
    if (values.length === 0) throw new RangeError(`${where} is [], expected at least one batch`);
    const batch = ([row = 0]: readonly number[]): B => values[row]!;
    return { rows: values.length, batchSize: 1, count: values.length, batch, identity: { values } };
  }
  const source: unknown = given;
  if (source === null || typeof source !== 'object' || typeof Reflect.get(source, 'batch') !== 'function')
    throw new TypeError(`${where} is ${describe(source)}, expected an array or { rows, batchSize, batch }`);
  const own = given as BatchSource<B>;
  const rows = checkInteger(`${where}: rows`, own.rows, 1, 2 ** 32 - 1);
  const batchSize = checkInteger(`${where}: batchSize`, own.batchSize, 1, 2 ** 32 - 1);
  const { hash } = own;
  if (hash !== undefined && typeof hash !== 'string')
    throw new TypeError(`${where}: hash is ${describe(hash)}, expected a string`);
  const identity = hash === undefined ? null : { hash };
  const batch = (wanted: readonly number[]): B | Promise<B> => own.batch(wanted);
  return { rows, batchSize, count: Math.ceil(rows / batchSize), batch, identity };
}

/** The rows of a batch of an epoch. */
export function rowsOf(
  { rows, batchSize }: Pick<CheckedBatches<unknown>, 'rows' | 'batchSize'>,
  order: Uint32Array | null,
  batch: number,
): number[] {
  const begin = batch * batchSize;
  const count = Math.min(batchSize, rows - begin);
  return Array.from({ length: count }, (_, i) => order?.[begin + i] ?? begin + i);
}

/**
 * The order of an epoch: a permutation that depends on seed and epoch alone, so that a place in it needs no more than two numbers.
 * Fisher and Yates' shuffle over the generator sfc32 (Chris Doty-Humphrey's), without a bias.
 */
export function epochOrder(rows: number, seed: number, epoch: number): Uint32Array {
  const next = generator(seed | 0, Math.floor(seed / 2 ** 32) | 0, epoch | 0);
  const order = Uint32Array.from({ length: rows }, (_, i) => i);
  for (let left = rows; left > 1; left--) {
    const limit = 2 ** 32 - (2 ** 32 % left);
    let drawn = next();
    while (drawn >= limit) drawn = next();
    const chosen = drawn % left;
    const last = order[left - 1]!;
    order[left - 1] = order[chosen]!;
    order[chosen] = last;
  }
  return order;
}

/** Integers from 0 to 2^32 - 1. */
function generator(a0: number, b0: number, c0: number): () => number {
  let [a, b, c, d] = [a0, b0, c0, 1];
  const next = (): number => {
    const drawn = (a + b + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + drawn) | 0;
    return drawn >>> 0;
  };
  // Seeds that differ in one bit give unlike numbers from here on.
  for (let i = 0; i < 15; i++) next();
  return next;
}

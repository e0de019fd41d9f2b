/**
 * Merging into a quantised weight: whether it may be, and its values rounded to blocks again, with the share of the delta that
 * is left of it. Called for the sum of a layer (merge-sum.ts) and for what moves into the base for good (into-base.ts).
 */
import { dequantise } from '../../formats/dequantise.js';
import { type QuantiseDType, quantise } from '../../formats/quantise.js';
import { isQuantised, rowBytes, type WeightDType } from '../../values/dtypes.js';
import { AdapterError } from '../errors.js';
import type { QuantisedMerge } from './merge-options.js';

/** The type of a merged weight, and, where values have to be quantised for it, the same as `blocks`. */
export interface MergedType {
  readonly dtype: WeightDType;
  readonly blocks: QuantiseDType | null;
}

/**
 * The type that a merged weight has: its own, or float32 where a quantised one is to be dequantised.
 * @throws AdapterError for a quantised one where nothing was asked for, or a type that nothing is quantised to
 */
export function mergedType(where: string, dtype: WeightDType, asked: QuantisedMerge | null): MergedType {
  if (!isQuantised(dtype)) return { dtype, blocks: null };
  if (asked === null)
    throw new AdapterError(
      `${where}: the weight is ${dtype}, expected quantised: 'dequantise' for a merged weight in float32, or 'requantise', where little may be left of the delta`,
    );
  if (asked === 'dequantise') return { dtype: 'f32', blocks: null };
  if (dtype !== 'q8_0' && dtype !== 'q4_0')
    throw new AdapterError(
      `${where}: the weight is ${dtype}, to which nothing is quantised here, expected q8_0 or q4_0 for 'requantise'; 'dequantise' takes every type`,
    );
  return { dtype, blocks: dtype };
}

/** Blocks of a weight, and what of a delta is in them. */
export interface Requantised {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** ⟨W' - W, Δ⟩ / ⟨Δ, Δ⟩. */
  readonly survived: number;
}

/** Elements that are worked on at a time: whole blocks. */
const STRIP = 2 ** 16;

/**
 * The blocks nearest to values, W + Δ.
 * @param before - W
 * @throws AdapterError for a value that is not finite, or larger than blocks can hold
 */
export function requantise(
  where: string,
  type: QuantiseDType,
  values: Float32Array,
  before: Float32Array,
): Requantised {
  const bytes = new Uint8Array(rowBytes(values.length, type));
  let [kept, whole] = [0, 0];
  for (let at = 0; at < values.length; at += STRIP) {
    const strip = values.subarray(at, at + STRIP);
    const blocks = blocksOf(where, type, strip);
    bytes.set(blocks, rowBytes(at, type));
    const after = dequantise(type, blocks);
    for (let i = 0; i < strip.length; i++) {
      const start = before[at + i]!;
      const delta = strip[i]! - start;
      kept += (after[i]! - start) * delta;
      whole += delta * delta;
    }
  }
  return { bytes, survived: whole === 0 ? 1 : kept / whole };
}

/** @throws AdapterError */
function blocksOf(where: string, type: QuantiseDType, values: Float32Array): Uint8Array {
  try {
    return quantise(type, values);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new AdapterError(`${where}: the merged weight does not go into ${type}: ${error.message}`, {
      cause: error,
    });
  }
}

/**
 * The table of element types: how many elements a block has and how many bytes it takes, by the names that tensors, files and
 * kernels share. Plain types have blocks of one element. The numbers are ggml's, as GGUF files and the kernels use them.
 */
import { describe } from './checks.js';

/** What is known of a type. */
export interface DTypeInfo {
  /** ggml's number of the type. */
  readonly code: number;
  /** Elements of a block. */
  readonly elements: number;
  /** Bytes of a block. */
  readonly bytes: number;
}

/** A quantised type that a frozen weight can have. */
export type QuantisedDType = 'q8_0' | 'q4_0' | 'q4_1' | 'q5_0' | 'q5_1' | 'q4_K' | 'q5_K' | 'q6_K';

/** A quantised type whose values can be computed. */
export type BlockDType = QuantisedDType | 'q2_K' | 'q3_K' | 'iq4_nl' | 'iq4_xs' | 'mxfp4';

/**
 * Types that a tensor in linear memory can have: weights are f32, or frozen in f16, bf16 or a quantised type of GGUF files;
 * class targets and token ids are i32.
 */
export type DType = 'f32' | 'f16' | 'bf16' | 'i32' | QuantisedDType;

/** Types that the products read a weight in. */
export type WeightDType = Exclude<DType, 'i32'>;

function info(code: number, elements: number, bytes: number): DTypeInfo {
  return { code, elements, bytes };
}

/** What is known of the types that tensors can have. */
export const DTYPE_INFO: Readonly<Record<DType, DTypeInfo>> = {
  f32: info(0, 1, 4),
  f16: info(1, 1, 2),
  bf16: info(30, 1, 2),
  i32: info(26, 1, 4),
  q8_0: info(8, 32, 34),
  q4_0: info(2, 32, 18),
  q4_1: info(3, 32, 20),
  q5_0: info(6, 32, 22),
  q5_1: info(7, 32, 24),
  q4_K: info(12, 256, 144),
  q5_K: info(13, 256, 176),
  q6_K: info(14, 256, 210),
};

/** The types of tensors, by name. */
export const DTYPES = Object.keys(DTYPE_INFO) as readonly DType[];

export const WEIGHT_DTYPES = DTYPES.filter((dtype): dtype is WeightDType => dtype !== 'i32');

/** @throws TypeError unless the dtype is one of those allowed */
export function checkDType(where: string, dtype: DType, allowed: readonly DType[] = DTYPES): void {
  if (!allowed.includes(dtype))
    throw new TypeError(
      `${where}: dtype is ${describe(dtype)}, expected ${allowed.map((name) => `'${name}'`).join(', ')}`,
    );
}

/** Whether elements lie in blocks that share a scale. */
export function isQuantised(dtype: DType): dtype is QuantisedDType {
  return DTYPE_INFO[dtype].elements > 1;
}

/** Bytes of a row of so many elements; whole blocks. */
export function rowBytes(columns: number, dtype: DType): number {
  const { elements, bytes } = DTYPE_INFO[dtype];
  return (columns / elements) * bytes;
}

/** Number of elements; 1 for a scalar. */
export function sizeOf(shape: readonly number[]): number {
  let size = 1;
  for (const dim of shape) size *= dim;
  return size;
}

/** Bytes of a tensor. */
export function bytesOf(shape: readonly number[], dtype: DType): number {
  return rowBytes(sizeOf(shape), dtype);
}

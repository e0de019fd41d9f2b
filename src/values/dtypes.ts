/**
 * The table of element types: how many elements a block has and how many bytes it takes, by the names that tensors, files and
 * kernels share. Plain types have blocks of one element. The numbers are ggml's, as GGUF files and the kernels use them.
 */

/** What is known of a type. */
export interface DTypeInfo {
  /** ggml's number of the type. */
  readonly code: number;
  /** Elements of a block. */
  readonly elements: number;
  /** Bytes of a block. */
  readonly bytes: number;
}

/** Types whose blocks are one element. */
export const PLAIN_DTYPES = {
  f32: { code: 0, elements: 1, bytes: 4 },
  f16: { code: 1, elements: 1, bytes: 2 },
  bf16: { code: 30, elements: 1, bytes: 2 },
  i32: { code: 26, elements: 1, bytes: 4 },
} as const satisfies Record<string, DTypeInfo>;

/** The quantised types of GGUF files whose values can be computed. */
export const BLOCK_DTYPES = {
  q4_0: { code: 2, elements: 32, bytes: 18 },
  q4_1: { code: 3, elements: 32, bytes: 20 },
  q5_0: { code: 6, elements: 32, bytes: 22 },
  q5_1: { code: 7, elements: 32, bytes: 24 },
  q8_0: { code: 8, elements: 32, bytes: 34 },
  q2_K: { code: 10, elements: 256, bytes: 84 },
  q3_K: { code: 11, elements: 256, bytes: 110 },
  q4_K: { code: 12, elements: 256, bytes: 144 },
  q5_K: { code: 13, elements: 256, bytes: 176 },
  q6_K: { code: 14, elements: 256, bytes: 210 },
  iq4_nl: { code: 20, elements: 32, bytes: 18 },
  iq4_xs: { code: 23, elements: 256, bytes: 136 },
  mxfp4: { code: 39, elements: 32, bytes: 17 },
} as const satisfies Record<BlockDType, DTypeInfo>;

/** A quantised type whose values can be computed. */
export type BlockDType =
  | 'q4_0'
  | 'q4_1'
  | 'q5_0'
  | 'q5_1'
  | 'q8_0'
  | 'q2_K'
  | 'q3_K'
  | 'q4_K'
  | 'q5_K'
  | 'q6_K'
  | 'iq4_nl'
  | 'iq4_xs'
  | 'mxfp4';

/** Types that a tensor in linear memory can have: weights are f32, or frozen in f16 or bf16; class targets and token ids are i32. */
export type DType = keyof typeof PLAIN_DTYPES;

/** Types that the products read a weight in. */
export type WeightDType = Exclude<DType, 'i32'>;

/** The types of tensors, by name. */
export const DTYPES = Object.keys(PLAIN_DTYPES) as readonly DType[];

export const WEIGHT_DTYPES = DTYPES.filter((dtype): dtype is WeightDType => dtype !== 'i32');

/** Bytes of a row of so many elements; whole blocks. */
export function rowBytes(columns: number, dtype: DType): number {
  const { elements, bytes } = PLAIN_DTYPES[dtype];
  return (columns / elements) * bytes;
}

/** Bytes of a tensor. */
export function bytesOf(shape: readonly number[], dtype: DType): number {
  let size = 1;
  for (const dim of shape) size *= dim;
  return rowBytes(size, dtype);
}

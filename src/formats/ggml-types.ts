/**
 * The types of GGUF files by ggml's numbers: their names, and how many elements and bytes a block has. Those that nobody reads
 * here are listed too, so that a file of them is measured and its types are called by name.
 */
import { type BlockDType, DTYPE_INFO, type DTypeInfo } from '../values/dtypes.js';

/** A type whose values can be read as float32. */
export type GgufDType = 'f32' | 'f16' | 'bf16' | BlockDType;

/** A type of a file: ggml's name and the size of a block. */
export interface GgmlType {
  readonly name: string;
  readonly elements: number;
  readonly bytes: number;
}

const { f32, f16, bf16, q4_0, q4_1, q5_0, q5_1, q8_0, q4_K, q5_K, q6_K } = DTYPE_INFO;

/** The quantised types whose values can be read; the kernels expand those that tensors can have. */
export const BLOCK_DTYPES: Readonly<Record<BlockDType, DTypeInfo>> = {
  ...{ q4_0, q4_1, q5_0, q5_1, q8_0 },
  q2_K: { code: 10, elements: 256, bytes: 84 },
  q3_K: { code: 11, elements: 256, bytes: 110 },
  ...{ q4_K, q5_K, q6_K },
  iq4_nl: { code: 20, elements: 32, bytes: 18 },
  iq4_xs: { code: 23, elements: 256, bytes: 136 },
  mxfp4: { code: 39, elements: 32, bytes: 17 },
};

/** The types whose values can be read. */
export const READABLE = { f32, f16, bf16, ...BLOCK_DTYPES };

/** The rest of ggml's types, as `number name elements bytes`. */
const OTHERS = `9 q8_1 32 40, 15 q8_K 256 292, 16 iq2_xxs 256 66, 17 iq2_xs 256 74, 18 iq3_xxs 256 98, 19 iq1_s 256 50,
  21 iq3_s 256 110, 22 iq2_s 256 82, 24 i8 1 1, 25 i16 1 2, 26 i32 1 4, 27 i64 1 8, 28 f64 1 8, 29 iq1_m 256 56,
  34 tq1_0 256 54, 35 tq2_0 256 66, 40 nvfp4 64 36, 41 q1_0 128 18`;

/** Every type by its number. */
const BY_NUMBER: ReadonlyMap<number, GgmlType> = new Map([
  ...Object.entries(READABLE).map(
    ([name, { code, elements, bytes }]) => [code, { name, elements, bytes }] as const,
  ),
  ...OTHERS.split(',').map((line) => {
    const [code, name, elements, bytes] = line.trim().split(' ') as [string, string, string, string];
    return [Number(code), { name, elements: Number(elements), bytes: Number(bytes) }] as const;
  }),
]);

/** What a number stands for; null where nobody knows. */
export function ggmlType(code: number): GgmlType | null {
  return BY_NUMBER.get(code) ?? null;
}

/** Whether values of the type can be read. */
export function isReadable(name: string): name is GgufDType {
  return Object.hasOwn(READABLE, name);
}

/** The types whose values can be read, for a message. */
export const READABLE_NAMES = Object.keys(READABLE).join(', ');

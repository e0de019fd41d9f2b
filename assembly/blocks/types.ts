// GGUF's quantised types that the kernels read: their numbers, and the sizes of their blocks. Called by the other files here and by matmul/.

export const Q4_0: i32 = 2;
export const Q4_1: i32 = 3;
export const Q5_0: i32 = 6;
export const Q5_1: i32 = 7;
export const Q8_0: i32 = 8;
export const Q4_K: i32 = 12;
export const Q5_K: i32 = 13;
export const Q6_K: i32 = 14;

/** Whether the type is one whose blocks the kernels read. */
export function isBlocks(type: i32): bool {
  return type === Q8_0 || type === Q4_0 || type === Q4_1 || type === Q5_0 || type === Q5_1 || type === Q4_K || type === Q5_K || type === Q6_K;
}

/** Elements of a block. */
export function blockElements(type: i32): i32 {
  return type >= Q4_K ? 256 : 32;
}

/** Bytes of a block. */
export function blockBytes(type: i32): i32 {
  if (type === Q8_0) return 34;
  if (type === Q4_0) return 18;
  if (type === Q4_1) return 20;
  if (type === Q5_0) return 22;
  if (type === Q5_1) return 24;
  if (type === Q4_K) return 144;
  return type === Q5_K ? 176 : 210;
}

/** Whether a block of 32 has a minimum beside its scale. */
// @ts-ignore: decorator
@inline
export function hasMinimum(type: i32): bool {
  return type === Q4_1 || type === Q5_1;
}

/** Whether an element of a block of 32 has a fifth bit, apart from its nibble. */
// @ts-ignore: decorator
@inline
export function hasFifth(type: i32): bool {
  return type === Q5_0 || type === Q5_1;
}

/** Byte of a block of 32 at which its nibbles begin. */
// @ts-ignore: decorator
@inline
export function nibblesAt(type: i32): usize {
  return (hasMinimum(type) ? 4 : 2) + (hasFifth(type) ? 4 : 0);
}

// What the kernels ask of their arguments, asserted in the debug build alone: elsewhere ASC_NO_ASSERT is true when compiled, and
// nothing of this is left. A failed check calls the host's `abort` with what is asked, the kernel and its operand, and two numbers: what it
// got and the limit that it broke. Strings are literals, so nothing is allocated.

/** Up to four sizes, each 0 or more. */
export function sizes(where: string, a: i32, b: i32 = 0, c: i32 = 0, d: i32 = 0): void {
  const least = min(min(a, b), min(c, d));
  if (least < 0) abort('a size is 0 or more', where, least, 0);
}

/** Numbers that divide or step: 1 or more. */
export function steps(where: string, a: i32, b: i32 = 1, c: i32 = 1, d: i32 = 1): void {
  const least = min(min(a, b), min(c, d));
  if (least < 1) abort('a step is 1 or more', where, least, 1);
}

/** `bytes` bytes at an address that is a multiple of `align`, above what the kernels keep for themselves and inside memory. */
function block(where: string, ptr: usize, bytes: u64, align: u32): void {
  if (bytes === 0) return;
  if (ptr === 0) abort('a pointer is not null', where, 0, 0);
  if (ptr < __heap_base) abort('a pointer is at the heap base or above', where, <u32>ptr, <u32>__heap_base);
  if ((<u32>ptr) % align !== 0) abort('a pointer is aligned', where, <u32>ptr, align);
  const end = <u64>ptr + bytes;
  const memoryEnd = (<u64>memory.size()) << 16;
  if (end > memoryEnd) abort('an operand ends inside memory', where, <u32>end, <u32>memoryEnd);
}

/** n elements of 4 bytes. */
export function vector(where: string, ptr: usize, n: i32): void {
  if (n < 0) abort('a size is 0 or more', where, n, 0);
  block(where, ptr, (<u64>n) << 2, 4);
}

/** Up to four vectors of n elements of 4 bytes, of a kernel that goes element by element. */
export function vectors(where: string, n: i32, a: usize, b: usize = a, c: usize = a, d: usize = a): void {
  vector(where, a, n);
  vector(where, b, n);
  vector(where, c, n);
  vector(where, d, n);
}

/** A vector that may be absent. */
export function optional(where: string, ptr: usize, n: i32): void {
  if (ptr !== 0) vector(where, ptr, n);
}

/** Rows of f32, a stride of elements between them. */
export function matrix(where: string, ptr: usize, rows: i32, columns: i32, ld: i32): void {
  rowsOf(where, ptr, rows, columns, 4, (<i64>ld) << 2, 4);
}

/** Rows of elements of `bytes` bytes, a stride of bytes between them. */
export function rowsOf(where: string, ptr: usize, rows: i32, columns: i32, bytes: i32, step: i64, align: u32): void {
  sizes(where, rows, columns);
  if (rows === 0 || columns === 0) return;
  const width = <i64>columns * bytes;
  if (step < width) abort('a stride is at least the columns', where, <u32>step, <u32>width);
  block(where, ptr, <u64>(step * (rows - 1) + width), align);
}

/** Scratch that the kernel uses as it likes. */
export function scratchOf(where: string, ptr: usize, bytes: u64): void {
  block(where, ptr, bytes, 16);
}

/** Whole numbers from 0 to below `limit`, or `skip`. */
export function indices(where: string, ptr: usize, n: i32, skip: i32, limit: i32): void {
  vector(where, ptr, n);
  for (let i: usize = 0; i < <usize>n; i++) {
    const index = load<i32>(ptr + (i << 2));
    if (index !== skip && <u32>index >= <u32>limit) abort('an index is inside its table', where, index, limit);
  }
}

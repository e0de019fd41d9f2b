// How the elements of a weight lie in memory, by its type, and their expansion to f32: the only file that knows. Types have ggml's
// numbers, as in GGUF files and in src/engine's table. A type is asked for once a panel, strip or row, never once an element.
import { blockBytes, blockElements, expandBlocks, isBlocks } from './blocks';
import { rowsOf } from './checks';
import { halves } from './halves';

export const F32: i32 = 0;
const F16: i32 = 1;
const BF16: i32 = 30;

/**
 * out[i,j] = w[i, from + j] as f32, for `rows` rows of `columns` elements. The strides are in bytes; w may lie at any even
 * address (quantised ones at any), and nothing past the last element's block is read, or past the last element written.
 */
export function expand(type: i32, rows: i32, columns: i32, w: usize, wStep: usize, from: i32, out: usize, outStep: usize): void {
  if (type === F16) {
    for (let i = 0; i < rows; i++, w += wStep, out += outStep) halfRow(columns, w + ((<usize>from) << 1), out);
  } else if (type === BF16) {
    for (let i = 0; i < rows; i++, w += wStep, out += outStep) brainRow(columns, w + ((<usize>from) << 1), out);
  } else if (isBlocks(type)) {
    expandBlocks(type, rows, columns, w, wStep, from, out, outStep);
  } else {
    for (let i = 0; i < rows; i++, w += wStep, out += outStep) memory.copy(out, w + ((<usize>from) << 2), (<usize>columns) << 2);
  }
}

/** A row of bfloat16: the upper halves of float32 numbers. */
function brainRow(columns: i32, w: usize, out: usize): void {
  const whole = out + ((<usize>(columns & ~3)) << 2);
  for (; out < whole; out += 16, w += 8) v128.store(out, i32x4.shl(v128.load16x4_u(w), 16));
  for (let left = columns & 3; left > 0; left--, out += 4, w += 2) store<u32>(out, <u32>load<u16>(w) << 16);
}

/** A row of halves. */
function halfRow(columns: i32, w: usize, out: usize): void {
  const whole = out + ((<usize>(columns & ~3)) << 2);
  for (; out < whole; out += 16, w += 8) v128.store(out, halves(v128.load16x4_u(w)));
  for (let left = columns & 3; left > 0; left--, out += 4, w += 2) v128.store32_lane(out, halves(i32x4.splat(load<u16>(w))), 0);
}

/** Asserted of a weight, in the debug build: a type that is known, rows inside memory, a stride of whole elements. */
export function checkWeight(where: string, type: i32, ptr: usize, rows: i32, columns: i32, step: i32): void {
  checkType(where, type);
  if (isBlocks(type)) {
    const elements = blockElements(type);
    rowsOf(where, ptr, rows, (columns + elements - 1) / elements, blockBytes(type), step, 1);
    return;
  }
  const bytes = type === F32 ? 4 : 2;
  if ((step & (bytes - 1)) !== 0) abort('a stride is a multiple of an element', where, step, bytes);
  rowsOf(where, ptr, rows, columns, bytes, step, bytes);
}

/** Asserted of the type of a weight, in the debug build. */
export function checkType(where: string, type: i32): void {
  if (type !== F32 && type !== F16 && type !== BF16 && !isBlocks(type)) abort('the type of a weight is known', where, type, BF16);
}

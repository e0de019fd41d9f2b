// How the elements of a weight lie in memory, by its type, and their expansion to f32: the only file that knows. Types have ggml's
// numbers, as in GGUF files and in src/engine's table. A type is asked for once a panel, strip or row, never once an element.
import { blockBytes, blockElements, blockRow, isBlocks } from './blocks';
import { rowsOf } from './checks';

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
    for (let i = 0; i < rows; i++, w += wStep, out += outStep) blockRow(type, columns, w, from, out);
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

/** Bits of a half: magnitude, exponent and what turns its exponent into that of an f32. Kept in memory for `load32_splat`. */
const HALF_BITS = memory.data<u32>([0x7fff, 0x0f800000, 0x38000000, 0x00800000, 0x38800000, 0x80000000]);

// @ts-ignore: decorator
@inline
function halfBits(index: usize): v128 {
  return v128.load32_splat(HALF_BITS + (index << 2));
}

/** A row of halves. Subnormal numbers never pass through a multiplication, which is slow for them; infinity and NaN stay. */
function halfRow(columns: i32, w: usize, out: usize): void {
  const magnitude = halfBits(0);
  const exponent = halfBits(1);
  const bias = halfBits(2);
  const step = halfBits(3);
  const smallest = halfBits(4);
  const sign = halfBits(5);
  const zero = i32x4.splat(0);
  const whole = out + ((<usize>(columns & ~3)) << 2);
  for (; out < whole; out += 16, w += 8) v128.store(out, half(v128.load16x4_u(w), magnitude, exponent, bias, step, smallest, sign, zero));
  for (let left = columns & 3; left > 0; left--, out += 4, w += 2) {
    const one = half(i32x4.splat(load<u16>(w)), magnitude, exponent, bias, step, smallest, sign, zero);
    v128.store32_lane(out, one, 0);
  }
}

/** Four halves, each in the low bits of a lane. */
// @ts-ignore: decorator
@inline
function half(h: v128, magnitude: v128, exponent: v128, bias: v128, step: v128, smallest: v128, sign: v128, zero: v128): v128 {
  const shifted = i32x4.shl(v128.and(h, magnitude), 13);
  const power = v128.and(shifted, exponent);
  const largest = v128.and(i32x4.eq(power, exponent), bias);
  const normal = i32x4.add(i32x4.add(shifted, bias), largest);
  const subnormal = f32x4.sub(i32x4.add(normal, step), smallest);
  const value = v128.bitselect(subnormal, normal, i32x4.eq(power, zero));
  return v128.or(value, v128.and(i32x4.shl(h, 16), sign));
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

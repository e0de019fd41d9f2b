/**
 * What lies in a tensor's memory: numbers, numbers of 16 bits by their bits, or quantised blocks by their bytes. The tensor's
 * own methods read and write through here, after their checks: nothing but the memory for expanding can fail.
 */
import { bytesOf, DTYPE_INFO, isQuantised, rowBytes } from '../values/dtypes.js';
import { encodeHalves, isHalf } from '../values/halves.js';
import type { Tensor } from './tensor.js';

/** The content as it lies, in the units of its dtype. */
export type Words = Float32Array | Int32Array | Uint16Array | Uint8Array;

/** Where a tensor's content lies: valid until the next allocation. */
export function wordsOf({ runtime: { engine }, dtype, pointer, shape }: Tensor): Words {
  const bytes = bytesOf(shape, dtype);
  if (isQuantised(dtype)) return new Uint8Array(engine.memory.buffer, pointer, bytes);
  const [words, width] = isHalf(dtype)
    ? [engine.u16(), 2]
    : [dtype === 'i32' ? engine.i32() : engine.f32(), 4];
  return words.subarray(pointer / width, (pointer + bytes) / width);
}

/** Elements that are expanded at a time: whole blocks of every type. */
const STRIP = 8192;

/** Copies the elements to an array of the kind and length that they take. @throws OutOfMemoryError where they are expanded */
export function readTo(tensor: Tensor, target: Float32Array | Int32Array): void {
  const { dtype, pointer, size } = tensor;
  const { engine } = tensor.runtime;
  if (dtype === 'f32' || dtype === 'i32') {
    target.set(wordsOf(tensor));
    return;
  }
  // By way of the scratch, as the lookup of a table's only row.
  // In front lies the number of that row.
  const row = engine.scratch(16 + 4 * STRIP);
  const strip = row + 16;
  for (let at = 0; at < size; at += STRIP) {
    const count = Math.min(STRIP, size - at);
    const from = pointer + rowBytes(at, dtype);
    engine.kernels.fill(1, 0, row);
    engine.kernels.gatherRows(1, count, row, DTYPE_INFO[dtype].code, from, 0, strip, count);
    target.set(engine.f32().subarray(strip / 4, strip / 4 + count), at);
  }
}

/** Overwrites the elements with numbers, rounded where the dtype has 16 bits; quantised ones with the bytes of their blocks. */
export function writeTo(tensor: Tensor, elements: ArrayLike<number>): void {
  const { dtype } = tensor;
  if (isHalf(dtype)) encodeHalves(dtype, elements, wordsOf(tensor) as Uint16Array);
  // A detached buffer of no elements is nothing to copy.
  else if (tensor.size > 0) wordsOf(tensor).set(elements);
  tensor.storage.version++;
}

/** Copies what lies in another tensor of the same dtype and shape. */
export function copyFrom(tensor: Tensor, source: Tensor): void {
  if (tensor.size > 0) wordsOf(tensor).set(wordsOf(source));
  tensor.storage.version++;
}

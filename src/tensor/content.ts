/**
 * What lies in a tensor's memory: numbers, numbers of 16 bits by their bits, or quantised blocks by their bytes. The methods of a
 * live tensor read and write through here; what comes from outside is checked first.
 */
import { expandBeside } from '../engine/matrices.js';
import { checkInteger, describe } from '../values/checks.js';
import { bytesOf, isQuantised } from '../values/dtypes.js';
import { encodeHalves, isHalf } from '../values/halves.js';
import { typedArrayLength, typedArrayName } from '../values/kind.js';
import { checkCount, showShape } from '../values/shape.js';
import { countElements, type ElementSource, readElements } from './elements.js';
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

/** @see Tensor.copyTo */
export function copyOut<T extends Float32Array | Int32Array>(tensor: Tensor, target: T): T {
  const array = tensor.dtype === 'i32' ? 'an Int32Array' : 'a Float32Array';
  if (!array.endsWith(` ${typedArrayName(target)}`))
    throw new TypeError(`Tensor.copyTo: target is ${describe(target)}, expected ${array}`);
  const count = typedArrayLength(target);
  checkCount('Tensor.copyTo', 'target', count, tensor.shape);
  if (count > 0) readTo(tensor, target);
  return target;
}

/** Copies the elements to an array of the kind and length that they take. @throws OutOfMemoryError where they are expanded */
function readTo(tensor: Tensor, target: Float32Array | Int32Array): void {
  const { dtype, pointer, size } = tensor;
  const { engine } = tensor.runtime;
  if (dtype === 'f32' || dtype === 'i32') {
    target.set(wordsOf(tensor));
    return;
  }
  // By way of the scratch, whose first bytes expanding uses.
  const index = engine.scratch(16 + 4 * STRIP);
  const strip = index + 16;
  for (let from = 0; from < size; from += STRIP) {
    const count = Math.min(STRIP, size - from);
    expandBeside(engine.kernels, { pointer, dtype, from, count }, index, strip);
    target.set(engine.f32().subarray(strip / 4, strip / 4 + count), from);
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

/** @see Tensor.set */
export function setNumbers(tensor: Tensor, source: ElementSource): void {
  const where = 'Tensor.set';
  const count = countElements(where, 'source', source);
  checkCount(where, 'source', count, tensor.shape);
  tensor.write(readElements(where, source, count, tensor.dtype));
}

/** @see Tensor.writeBytes */
export function writeBytesTo(tensor: Tensor, bytes: Uint8Array, offset: number): void {
  const { shape, dtype, pointer, runtime, storage } = tensor;
  if (typedArrayName(bytes) !== 'Uint8Array')
    throw new TypeError(`Tensor.writeBytes: bytes is ${describe(bytes)}, expected a Uint8Array`);
  const room = bytesOf(shape, dtype);
  checkInteger('Tensor.writeBytes: offset', offset, 0, room);
  const count = typedArrayLength(bytes);
  if (count > room - offset)
    throw new RangeError(
      `Tensor.writeBytes: ${count} bytes at ${offset}, expected at most ${room - offset} of ${room} for ${showShape(shape)} ${dtype}`,
    );
  if (count > 0) new Uint8Array(runtime.engine.memory.buffer).set(bytes, pointer + offset);
  storage.version++;
}

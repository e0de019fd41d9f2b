/** A hash of whatever batches are made of: numbers, text, typed arrays, tensors, in arrays, maps and objects. */
import { Tensor } from '../tensor/tensor.js';
import { Hash } from '../values/hash.js';
import { isArrayBuffer, isMap, isSet, typedArrayName } from '../values/kind.js';

/** A value that holds itself has no end. */
const DEPTH_LIMIT = 64;

/** @throws RangeError for values that are nested too deep */
export function hashOf(value: unknown): string {
  const hash = new Hash();
  add(hash, value, 0);
  return hash.digest();
}

function add(hash: Hash, value: unknown, depth: number): void {
  if (depth > DEPTH_LIMIT)
    throw new RangeError(`Trainer: a batch is nested more than ${DEPTH_LIMIT} deep, expected plain data`);
  if (typeof value === 'number') hash.text('n').numbers(value);
  else if (value === null || typeof value !== 'object') hash.text(`${typeof value} ${String(value)}`);
  else if (value instanceof Tensor) addTensor(hash, value);
  else if (ArrayBuffer.isView(value)) addView(hash, value);
  else if (isArrayBuffer(value)) hash.text('bytes').update(new Uint8Array(value));
  else if (Array.isArray(value)) addArray(hash, value, depth);
  else if (isMap(value) || isSet(value)) addArray(hash, [...value], depth);
  else {
    const entries = Object.entries(value);
    hash.text('object').numbers(entries.length);
    for (const [key, entry] of entries) {
      hash.text(key);
      add(hash, entry, depth + 1);
    }
  }
}

function addTensor(hash: Hash, tensor: Tensor): void {
  hash
    .text(tensor.dtype)
    .numbers(tensor.shape.length, ...tensor.shape)
    .update(tensor.bytes());
}

function addView(hash: Hash, view: ArrayBufferView): void {
  hash.text(typedArrayName(view) ?? 'DataView').numbers(view.byteLength);
  hash.update(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
}

function addArray(hash: Hash, values: readonly unknown[], depth: number): void {
  hash.text('array').numbers(values.length);
  // Rows of ids: one call for all of them.
  if (values.length > 0 && values.every((value) => typeof value === 'number'))
    hash.update(new Uint8Array(Float64Array.from(values as readonly number[]).buffer));
  else for (const value of values) add(hash, value, depth + 1);
}

/** Tensors of whole numbers by their shapes, and safetensors of them. */
import { type WritableTensor, writeSafetensors } from '../../src/formats/index.js';
import { numbers } from './adapters.js';

export function tensorOf(shape: readonly number[]): WritableTensor {
  const size = shape.reduce((product, n) => product * n, 1);
  return { shape, data: numbers(size, shape.length) };
}

export function bytesOf(
  tensors: Record<string, WritableTensor>,
  metadata?: Record<string, string>,
): Uint8Array {
  return writeSafetensors(Object.entries(tensors), metadata === undefined ? {} : { metadata });
}

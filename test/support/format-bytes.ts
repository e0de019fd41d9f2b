/** Tensors of whole numbers by their shapes, safetensors of them, and a config beside them. */
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

/** Settings of an adapter in PEFT's words: of rank 2 and alpha 6 over layers `q`, but for these fields. */
export function peftConfig(fields: object): object {
  return { peft_type: 'LORA', r: 2, lora_alpha: 6, target_modules: ['q'], ...fields };
}

/** Golden bytes of GGUF's weight types against the package: dequantised, and quantised where it can, bit for bit. */
import { dequantise, type GgufDType, quantise } from 'lora-wasm/formats';
import { expect } from 'vitest';
import { goldenJson, goldenTensors, pick } from './files.js';

interface QuantIndex {
  readonly types: Readonly<Record<string, { id: number; block: number; bytes: number }>>;
}

/** The package's word for a type of the golden folder. */
export function dtypeOf(name: string): GgufDType {
  const word = name.toLowerCase().replace(/_k$/, '_K');
  return word as GgufDType;
}

export function checkQuantCase(name: string): void {
  const file = goldenTensors(`quant/${name}.safetensors`);
  const block = goldenJson<QuantIndex>('quant/index.json').types[name]!;
  const { data: bytes, shape } = pick(file, 'bytes');
  const values = pick(file, 'values');
  const dtype = dtypeOf(name);
  const found = dequantise(dtype, Uint8Array.from(bytes));
  expect(found.length).toBe((bytes.length / block.bytes) * block.block);
  expectSameBits(found, Float32Array.from(values.data));
  // Row by row: no value depends on what lies before its block.
  const [rows, width] = shape as [number, number];
  const row = Uint8Array.from(bytes).subarray((rows - 1) * width);
  expectSameBits(dequantise(dtype, row), found.slice(-values.shape[1]!));
  if (dtype === 'q8_0' || dtype === 'q4_0') {
    const source = Float32Array.from(pick(file, 'source').data);
    expect(quantise(dtype, source)).toEqual(Uint8Array.from(bytes));
  }
}

function expectSameBits(found: Float32Array<ArrayBuffer>, expected: Float32Array<ArrayBuffer>): void {
  expect(new Uint32Array(found.buffer)).toEqual(new Uint32Array(expected.buffer));
}

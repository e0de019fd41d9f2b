/** Initial factors: they and the residual make the base again, and they are PEFT's where a golden file has them. */
import { expect, test } from 'vitest';
import { svd } from '../../src/lora/maths/decompose.js';
import {
  fastPissaFactors,
  oloraFactors,
  orthogonalFactors,
  pissaFactors,
  type Taken,
} from '../../src/lora/maths/initial-factors.js';
import type { ShapedArray } from '../../src/values/arrays.js';
import { goldenTensors, pick } from '../golden-support/files.js';

const wave = (count: number): Float64Array =>
  Float64Array.from({ length: count }, (_, i) => Math.sin(i * i + 1));

function product(B: Float32Array, A: Float32Array, out: number, inputs: number, r: number): Float64Array {
  return Float64Array.from({ length: out * inputs }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < r; j++)
      sum += (B[Math.floor(i / inputs) * r + j] ?? Number.NaN) * (A[j * inputs + (i % inputs)] ?? Number.NaN);
    return sum;
  });
}

const KINDS = [
  ['pissa', pissaFactors],
  ['olora', oloraFactors],
  ['fast pissa', (W: ShapedArray, taken: Taken) => fastPissaFactors(W, taken, 4, wave)],
] as const;

const SIZES = [
  [1, 1, 1, 1],
  [7, 11, 3, 0.5],
  [11, 7, 7, 2],
  [8, 8, 1, 4],
] as const;

test.each(KINDS)('%s: residual + scaling·B·A is W to float32 rounding', (_, make) => {
  for (const [out, inputs, r, scaling] of SIZES) {
    const W = Float32Array.from(wave(out * inputs));
    const { A, B, residual } = make({ shape: [out, inputs], data: W }, { r, scaling });
    product(B, A, out, inputs, r).forEach((value, i) => {
      const sum = (residual[i] ?? Number.NaN) + scaling * value;
      expect(Math.abs(sum - (W[i] ?? 0))).toBeLessThanOrEqual(2 ** -23);
    });
  }
});

test.each([
  ['pissa', pissaFactors],
  ['olora', oloraFactors],
] as const)('%s leaves the residual that PEFT leaves', (name, make) => {
  const base = goldenTensors(`peft/${name}/base.safetensors`);
  const after = goldenTensors(`peft/${name}/io.safetensors`);
  for (const layer of ['fc1', 'fc2']) {
    const { data, shape } = pick(base, `${layer}.weight`);
    const wanted = Float32Array.from(pick(after, `base_after.${layer}.weight`).data);
    const { residual } = make({ shape, data: Float32Array.from(data) }, { r: 3, scaling: 1 });
    const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(residual.length).toBe(wanted.length);
    residual.forEach((value, i) => {
      expect(Math.abs(value - (wanted[i] ?? Number.NaN))).toBeLessThanOrEqual(1e-5 * largest);
    });
  }
});

test('the residual of PiSSA is as large as the singular values it leaves', () => {
  const W = Float32Array.from(wave(77));
  const { S } = svd(Float64Array.from(W), 7, 11);
  const tail = Math.hypot(...S.subarray(3));
  expect(Math.hypot(...pissaFactors({ shape: [7, 11], data: W }, { r: 3, scaling: 2 }).residual)).toBeCloseTo(
    tail,
    5,
  );
});

test('orthogonal factors have values and a product of zero; an odd r is refused', () => {
  const { A, B } = orthogonalFactors(5, 9, 4, wave);
  expect([A.length, B.length]).toEqual([36, 20]);
  expect(Math.hypot(...A)).toBeGreaterThan(0.1);
  expect(Math.hypot(...B)).toBeGreaterThan(0.1);
  expect(Math.max(...product(B, A, 5, 9, 4).map(Math.abs))).toBeLessThan(1e-8);
  expect(() => orthogonalFactors(5, 9, 3, wave)).toThrow('r is 3, expected an even rank');
});

test.each(KINDS)('%s refuses an r above the smaller side', (_, make) => {
  expect(() => make({ shape: [3, 5], data: new Float32Array(15) }, { r: 4, scaling: 1 })).toThrow(
    'r is 4 on a weight of [3, 5], expected at most 3',
  );
});

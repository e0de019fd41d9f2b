/** Combining adapters: exact kinds against the sum of deltas, PEFT's formulas against values that PEFT made. */
import { expect, test } from 'vitest';
import { type CombinationType, type CombinePart, combineFactors } from '../../src/lora/combining/combine.js';
import { goldenJson } from '../golden-support/files.js';

interface Golden {
  readonly in: number;
  readonly out: number;
  readonly r: number;
  readonly parts: { A: number[]; B: number[]; scaling: number }[];
  readonly cases: {
    kind: CombinationType;
    weights: number[];
    density: number;
    sign: 'total' | 'frequency';
    scaling: number;
    A: number[];
    B: number[];
  }[];
}

const OPTIONS = {
  ...{ rank: 1, density: 1, majoritySignMethod: 'total' as const, clamp: null },
  random: (count: number) => new Float32Array(count),
};

const golden = goldenJson<Golden>('combine.json');

function part(r: number, out: number, inputs: number, scaling: number, weight: number): CombinePart {
  const A = Float32Array.from({ length: r * inputs }, (_, i) => Math.sin(i * i + r + scaling));
  const B = Float32Array.from({ length: out * r }, (_, i) => Math.cos(i * i + 2 * r + scaling));
  return { A, B, r, scaling, weight };
}

/** The sum of weight·scaling·B·A, in float64. */
function delta(parts: readonly CombinePart[], out: number, inputs: number): number[] {
  return Array.from({ length: out * inputs }, (_, i) => {
    let sum = 0;
    for (const { A, B, r, scaling, weight } of parts)
      for (let j = 0; j < r; j++)
        sum +=
          weight * scaling * (B[Math.floor(i / inputs) * r + j] ?? 0) * (A[j * inputs + (i % inputs)] ?? 0);
    return sum;
  });
}

function expectDelta(
  kind: CombinationType,
  parts: readonly CombinePart[],
  out: number,
  inputs: number,
  svdRank = 1,
): void {
  const made = combineFactors(kind, parts, { out, width: inputs, blocks: 1 }, { ...OPTIONS, rank: svdRank });
  const found = delta([{ ...made, scaling: 1, weight: 1 }], out, inputs);
  const wanted = delta(parts, out, inputs);
  const largest = Math.max(...wanted.map(Math.abs));
  expect(largest).toBeGreaterThan(0.1);
  found.forEach((value, i) => {
    expect(Math.abs(value - (wanted[i] ?? Number.NaN))).toBeLessThanOrEqual(1e-5 * largest);
  });
}

test.each([
  ['weight -1 gives the negative delta', [[2, 2, -1]]],
  [
    'weights of a half give the mean',
    [
      [2, 2, 0.5],
      [3, 0.5, 0.5],
    ],
  ],
  [
    'a negative weight beside a positive one',
    [
      [2, 2, 1],
      [3, 1, -0.5],
    ],
  ],
] as const)('%s, by cat and by svd', (_, given) => {
  for (const [out, inputs] of [
    [7, 9],
    [9, 7],
    [4, 6],
  ] as const) {
    const parts = given.map(([r, scaling, weight]) => part(r, out, inputs, scaling, weight));
    expectDelta('cat', parts, out, inputs);
    expectDelta('svd', parts, out, inputs, 5);
  }
});

test.each(golden.cases)(
  '$kind with weights $weights is what PEFT makes',
  ({ kind, weights, density, sign, ...wanted }) => {
    const parts = golden.parts.map(({ A, B, scaling }, i) => ({
      A: Float32Array.from(A),
      B: Float32Array.from(B),
      r: golden.r,
      scaling,
      weight: weights[i] ?? Number.NaN,
    }));
    const made = combineFactors(
      kind,
      parts,
      { out: golden.out, width: golden.in, blocks: 1 },
      { ...OPTIONS, density, majoritySignMethod: sign },
    );
    expect(wanted.scaling).toBe(1);
    expect(made.A.length).toBe(wanted.A.length);
    made.A.forEach((value, i) => {
      expect(value).toBeCloseTo(wanted.A[i] ?? Number.NaN, 5);
    });
    expect(made.B.length).toBe(wanted.B.length);
    made.B.forEach((value, i) => {
      expect(value).toBeCloseTo(wanted.B[i] ?? Number.NaN, 5);
    });
  },
);

test('dare keeps what is drawn below the density, divided by it', () => {
  const one = { A: Float32Array.of(1, 2), B: Float32Array.of(4), r: 1, scaling: 4, weight: -1 };
  const random = (count: number) => Float32Array.from({ length: count }, (_, i) => (i === 0 ? 0.4 : 0.6));
  for (const kind of ['dare_linear', 'dare_ties'] as const) {
    const { A, B } = combineFactors(
      kind,
      [one],
      { out: 1, width: 2, blocks: 1 },
      { ...OPTIONS, density: 0.5, random },
    );
    expect([...A].map((value) => value + 0)).toEqual([-4, 0]);
    expect([...B]).toEqual([16]);
  }
});

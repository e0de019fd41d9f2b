/** Attention against float64: heads that share keys, windows, packed rows, queries behind cached keys; cut anywhere, to the same bits. */
import { expect, test } from 'vitest';
import { type AttentionSizes, attention } from '../../reference/transformer.js';
import { real } from '../support/numbers.js';
import { describeBuilds, type Harness } from './harness.js';

type Case = Omit<AttentionSizes, 'scale' | 'starts' | 'offset'> & {
  readonly packed?: boolean;
  readonly offset?: number;
};

/** Head sizes below, at and above a vector and a tile; lengths around a panel, a turn of the sum and a chain of it. */
const CASES: readonly Case[] = [
  { B: 1, T: 1, S: 1, heads: 1, kvHeads: 1, D: 1, window: 0 },
  { B: 2, T: 13, S: 13, heads: 6, kvHeads: 2, D: 12, window: 0 },
  { B: 1, T: 9, S: 9, heads: 2, kvHeads: 2, D: 5, window: 3 },
  { B: 3, T: 7, S: 9, heads: 4, kvHeads: 1, D: 16, window: 0, packed: true },
  { B: 2, T: 20, S: 20, heads: 4, kvHeads: 4, D: 20, window: 6, packed: true },
  { B: 1, T: 70, S: 70, heads: 3, kvHeads: 1, D: 64, window: 0 },
  { B: 2, T: 1, S: 40, heads: 9, kvHeads: 3, D: 64, window: 0, offset: 32 },
  { B: 1, T: 3, S: 600, heads: 3, kvHeads: 1, D: 8, window: 0, offset: 597 },
  { B: 1, T: 5, S: 600, heads: 2, kvHeads: 1, D: 7, window: 530, offset: 580 },
  { B: 1, T: 4, S: 30, heads: 2, kvHeads: 1, D: 3, window: 8, offset: 20, packed: true },
];

const nameOf = (one: Case): string => JSON.stringify(one);

/** Packed rows of three and five tokens in turn: those of one begin at the same key. */
function startsOf({ B, T, offset = 0 }: Case): number[] {
  return Array.from({ length: B * T }, (_, i) => {
    const t = offset + (i % T);
    const whole = Math.floor(t / 8) * 8;
    return t - whole < 3 ? whole : whole + 3;
  });
}

function sizesOf(one: Case): AttentionSizes {
  const { packed, offset = 0, ...rest } = one;
  const starts = packed ? startsOf(one) : null;
  return { ...rest, offset, starts, scale: Math.fround(1 / Math.sqrt(one.D)) };
}

interface Operands {
  readonly sizes: AttentionSizes;
  readonly q: number[];
  readonly k: number[];
  readonly v: number[];
}

function operandsOf(one: Case, size = 2): Operands {
  const { B, T, S, heads, kvHeads, D } = one;
  const draw = (n: number, seed: number): number[] => real(n, seed, size).map(Math.fround);
  const [queries, keys] = [B * T * heads * D, B * S * kvHeads * D];
  return { sizes: sizesOf(one), q: draw(queries, 1), k: draw(keys, 2), v: draw(keys, 3) };
}

const panelsOf = ({ B, T, heads, kvHeads }: AttentionSizes): number =>
  B * kvHeads * Math.ceil((T * heads) / kvHeads / 8);

/** The forward in shares that end at the given panels. */
function forward(h: Harness, { sizes, q, k, v }: Operands, cuts: readonly number[] = []) {
  h.reset();
  const { B, T, S, heads, kvHeads, D, scale, window, offset, starts } = sizes;
  const y = h.matrix(1, q.length, new Float32Array(q.length).fill(Number.NaN), 0);
  const lse = h.matrix(1, B * T * heads, new Float32Array(B * T * heads).fill(Number.NaN), 0);
  const from = [h.f32(q), h.f32(k), h.f32(v), starts === null ? 0 : h.i32(Array.from(starts))] as const;
  const scratch = h.scratch(h.kernels.attentionScratch(S, D));
  const shape = [T, S, heads, kvHeads, D, scale, window, offset] as const;
  let begin = 0;
  for (const end of [...cuts, panelsOf(sizes)]) {
    h.kernels.attentionForward(begin, end, ...shape, ...from, y.pointer, lse.pointer, scratch);
    begin = end;
  }
  return {
    y: h.values(y),
    lse: h.values(lse),
    bare: () => h.kernels.attentionForward(0, begin, ...shape, ...from, y.pointer, 0, scratch),
    again: () => h.values(y),
  };
}

/** Scores of n keys are off by D roundings of Σ|q||k|, at most 4 an element here; probabilities by as much, relatively. */
function worst(got: Float32Array, wanted: Float64Array, bound: number): number {
  return got.reduce((top, v, i) => Math.max(top, Math.abs(v - wanted[i]!) / bound), 0);
}

describeBuilds((h) => {
  test.each(CASES.map((one) => [nameOf(one), one] as const))('%s', (_, one) => {
    const operands = operandsOf(one);
    const { y, lse, bare, again } = forward(h, operands);
    const wanted = attention(operands.sizes, operands);
    const score = (one.D + 2) * 2 ** -23 * 4 * Math.sqrt(one.D);
    expect(worst(lse, wanted.lse, score + 1e-6)).toBeLessThan(1);
    expect(worst(y, wanted.y, 2 * (2 * score + (one.S + 8) * 2 ** -24))).toBeLessThan(1);
    bare();
    expect(again()).toEqual(y);
  });

  test('the bits do not depend on where the panels are cut', () => {
    for (const one of h.some(CASES)) {
      const operands = operandsOf(one);
      const whole = forward(h, operands);
      const panels = panelsOf(operands.sizes);
      for (const cuts of [
        [1],
        [Math.ceil(panels / 2)],
        Array.from({ length: panels - 1 }, (_, i) => i + 1),
      ]) {
        const { y, lse } = forward(
          h,
          operands,
          cuts.filter((at) => at > 0 && at < panels),
        );
        expect({ y, lse }, nameOf(one)).toEqual({ y: whole.y, lse: whole.lse });
      }
    }
  });

  test('scores of hundreds do not overflow, and NaN stays in its row', () => {
    const one = { B: 1, T: 12, S: 12, heads: 2, kvHeads: 1, D: 4, window: 0 };
    const operands = operandsOf(one, 40);
    const { y } = forward(h, operands);
    expect(worst(y, attention(operands.sizes, operands).y, 0.05)).toBeLessThan(1);
    operands.q[5 * 8] = Number.NaN;
    const broken = forward(h, operands).y;
    for (const [i, v] of broken.entries())
      expect(Number.isNaN(v) ? 'NaN' : v).toBe(Math.floor(i / 4) === 10 ? 'NaN' : y[i]);
  });
});

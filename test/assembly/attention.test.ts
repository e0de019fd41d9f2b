/** Attention against float64: heads that share keys, windows, packed rows, queries behind cached keys; cut anywhere, to the same bits. */
import { expect, test } from 'vitest';
import { type AttentionSizes, attention, attentionBackward } from '../../reference/transformer.js';
import {
  type AttentionInputs,
  forwardPanels,
  keyPanelsBackward,
  type PanelCall,
  queryPanelsBackward,
} from '../../src/engine/attention.js';
import type { GradientVector } from '../../src/engine/matrices.js';
import type { Matrix } from '../../src/engine/operands.js';
import { real } from '../support/numbers.js';
import { describeBuilds } from './builds.js';
import type { Harness } from './harness.js';

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

function inputsOf(h: Harness, { sizes: { starts }, q, k, v }: Operands): AttentionInputs {
  const places = { q: h.f32(q), k: h.f32(k), v: h.f32(v) };
  return { ...places, starts: starts === null ? 0 : h.i32(Array.from(starts)) };
}

/** Calls a kernel in shares that end at the given panels. */
function runPanels(
  h: Harness,
  { kernel, panels }: PanelCall,
  ends: readonly number[],
  scratch: number,
): void {
  const run = h.kernels[kernel] as (...args: number[]) => void;
  for (const [i, end] of ends.entries()) run(...panels(ends[i - 1] ?? 0, end, scratch));
}

/** The forward in shares that end at the given panels. */
function forward(h: Harness, { sizes, q, k, v }: Operands, cuts: readonly number[] = []) {
  h.reset();
  const { B, T, S, heads, D } = sizes;
  const y = h.matrix(1, q.length, new Float32Array(q.length).fill(Number.NaN), 0);
  const lse = h.matrix(1, B * T * heads, new Float32Array(B * T * heads).fill(Number.NaN), 0);
  const inputs = inputsOf(h, { sizes, q, k, v });
  const scratch = h.scratch(h.kernels.attentionScratch(S, D));
  const panels = panelsOf(sizes);
  runPanels(h, forwardPanels(sizes, inputs, { y: y.pointer, lse: lse.pointer }), [...cuts, panels], scratch);
  return {
    y: h.values(y),
    lse: h.values(lse),
    bare: () => runPanels(h, forwardPanels(sizes, inputs, { y: y.pointer, lse: 0 }), [panels], scratch),
    again: () => h.values(y),
  };
}

/** What a backward is asked for beside its operands. */
interface Asked {
  readonly accumulate: 0 | 1;
  /** Panels before which the gradients of queries, and of keys, are cut. */
  readonly cuts?: readonly [readonly number[], readonly number[]];
}

/** Gradients by the two kernels, from the logarithms that the forward left and Σ dy·y in float64. */
function backward(h: Harness, { sizes, q, k, v }: Operands, dy: number[], { accumulate, cuts }: Asked) {
  const { y, lse } = forward(h, { sizes, q, k, v });
  const { B, T, S, kvHeads, D } = sizes;
  const delta = Array.from(lse, (_, i) => {
    let sum = 0;
    for (let d = 0; d < D; d++) sum += dy[i * D + d]! * y[i * D + d]!;
    return Math.fround(sum);
  });
  h.reset();
  const place = (size: number): Matrix =>
    h.matrix(1, size, new Float32Array(size).fill(accumulate === 1 ? 1 : Number.NaN), 0);
  const [dq, dk, dv] = [place(q.length), place(k.length), place(v.length)];
  const inputs = inputsOf(h, { sizes, q, k, v });
  const sums = { lse: h.f32(lse), dy: h.f32(dy), delta: h.f32(delta) };
  const { kernels } = h;
  const to = ({ pointer }: Matrix): GradientVector => ({ pointer, accumulate });
  const [queryCuts, keyCuts] = cuts ?? [[], []];
  const queries = queryPanelsBackward(sizes, inputs, sums, to(dq));
  runPanels(h, queries, [...queryCuts, panelsOf(sizes)], h.scratch(kernels.attentionBackwardScratch(S, D)));
  const keys = keyPanelsBackward(sizes, inputs, sums, [to(dk), to(dv)]);
  const ends = [...keyCuts, B * kvHeads * Math.ceil(S / 8)];
  runPanels(h, keys, ends, h.scratch(kernels.attentionBackwardScratch(T, D)));
  return { dq: h.values(dq), dk: h.values(dk), dv: h.values(dv) };
}

/**
 * The largest error beside the largest value. Roundings fall to both sides, so that sums of hundreds stay within some dozens of 2^-24; the
 * bound that a chain of them could reach would pass a wrong tile too.
 */
function worst(got: Float32Array, wanted: Float64Array): number {
  const top = wanted.reduce((most, v) => Math.max(most, Math.abs(v)), 0.1);
  return got.reduce((most, v, i) => Math.max(most, Math.abs(v - wanted[i]!)), 0) / top;
}

const BOUND = 2e-6;

describeBuilds((h) => {
  test.each(CASES.map((one) => [nameOf(one), one] as const))('%s', (_, one) => {
    const operands = operandsOf(one);
    const { y, lse, bare, again } = forward(h, operands);
    const wanted = attention(operands.sizes, operands);
    expect(worst(lse, wanted.lse), 'lse').toBeLessThan(BOUND);
    expect(worst(y, wanted.y), 'y').toBeLessThan(BOUND);
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

  test.each(CASES.map((one) => [nameOf(one), one] as const))('gradients, %s', (_, one) => {
    const operands = operandsOf(one);
    const dy = real(operands.q.length, 4, 2).map(Math.fround);
    const wanted = attentionBackward(operands.sizes, { ...operands, dy });
    for (const accumulate of [0, 1] as const) {
      const found = backward(h, operands, dy, { accumulate });
      for (const name of ['dq', 'dk', 'dv'] as const) {
        const values = wanted[name].map((v) => accumulate + v);
        expect(worst(found[name], values), name).toBeLessThan(BOUND);
      }
    }
  });

  test('the bits of the gradients do not depend on where the panels are cut', () => {
    for (const one of h.some(CASES)) {
      const operands = operandsOf(one);
      const dy = real(operands.q.length, 4, 2).map(Math.fround);
      const whole = backward(h, operands, dy, { accumulate: 0 });
      const each = (count: number): number[] => Array.from({ length: count - 1 }, (_, i) => i + 1);
      const { B, S, kvHeads } = operands.sizes;
      const [queries, keys] = [panelsOf(operands.sizes), B * kvHeads * Math.ceil(S / 8)];
      const cuts = [each(queries), each(keys)] as const;
      expect(backward(h, operands, dy, { accumulate: 0, cuts }), nameOf(one)).toEqual(whole);
    }
  });

  test('scores of hundreds do not overflow, and NaN stays in its row', () => {
    const one = { B: 1, T: 12, S: 12, heads: 2, kvHeads: 1, D: 4, window: 0 };
    const operands = operandsOf(one, 40);
    const { y } = forward(h, operands);
    expect(worst(y, attention(operands.sizes, operands).y)).toBeLessThan(1e-3);
    operands.q[5 * 8] = Number.NaN;
    const broken = forward(h, operands).y;
    for (const [i, v] of broken.entries())
      expect(Number.isNaN(v) ? 'NaN' : v).toBe(Math.floor(i / 4) === 10 ? 'NaN' : y[i]);
  });
});

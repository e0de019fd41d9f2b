/**
 * Products that read blocks as they lie: exact on whole numbers, bounded against float64 over the values of the formats, with a
 * low-rank operand, scale and bias beside them, and the same bits of a row whatever rows are computed with it.
 */
import { expect, test } from 'vitest';
import { addProduct, asColumns, asRows, newSums, roundingBound } from '../../reference/products.js';
import { type LowRank, matrix, NO_RANK, type Weight, weightRows } from '../../src/engine/operands.js';
import { grainOf, planForward } from '../../src/engine/plan.js';
import { dequantise } from '../../src/formats/dequantise.js';
import { DTYPE_INFO } from '../../src/values/dtypes.js';
import { whole } from '../support/numbers.js';
import { blocksOf, TYPES, type Type } from './block-cases.js';
import { describeBuilds } from './builds.js';
import type { Harness } from './harness.js';
import { draw } from './typed-products.js';

const PATH = 64;
/** Types whose values are whole where their scales are 1. */
const SIMPLE = ['q8_0', 'q4_0', 'q4_1'] as const;
const COUNTS = [1, 2, 3, 4, 5, 7, 8, 9, 31];

test('one row of x goes over blocks of every type as they lie, several rows do not', () => {
  for (const level of [0, 1])
    for (const type of TYPES) {
      const { code } = DTYPE_INFO[type];
      expect(planForward(level, 1, 64, 256, 0, code), type).toBe(PATH);
      expect(planForward(level, 2, 64, 256, 0, code), type).not.toBe(PATH);
    }
  expect(planForward(1, 1, 64, 256, 0)).not.toBe(PATH);
  expect(grainOf(PATH)).toEqual({ rows: 1, columns: 16 });
});

function placed(h: Harness, type: Type, rows: number, columns: number): { w: Weight; values: Float32Array } {
  const { data, step, values } = blocksOf(TYPES.indexOf(type), rows, columns);
  const { code } = DTYPE_INFO[type];
  return { w: { pointer: h.bytes(data), rows, columns, code, step, from: 0 }, values };
}

/** Blocks of scale 1 and minimum 2 whose numbers are as they come: every value is whole. */
function wholeBlocks(h: Harness, type: Type, rows: number, columns: number): { w: Weight; values: number[] } {
  const { elements, bytes, code } = DTYPE_INFO[type];
  const step = (columns / elements) * bytes;
  const data = Uint8Array.from(whole(rows * step, 3, 127), (v) => v & 255);
  for (let at = 0; at < data.length; at += bytes) {
    data.set([0, 0x3c], at);
    if (type === 'q4_1') data.set([0, 0x40], at + 2);
  }
  const value = (i: number): number => {
    const at = Math.floor(i / 32) * bytes + (type === 'q4_1' ? 4 : 2);
    if (type === 'q8_0') return (data[at + (i & 31)]! << 24) >> 24;
    const nibble = (data[at + (i & 15)]! >> ((i & 16) >> 2)) & 15;
    return type === 'q4_1' ? nibble + 2 : nibble - 8;
  };
  const values = Array.from({ length: rows * columns }, (_, i) => value(i));
  return { w: { pointer: h.bytes(data), rows, columns, code, step, from: 0 }, values };
}

/** A block of scale 1 whose numbers and minimum (or what the type subtracts) cancel: every value is 0. */
const CANCELLED: Readonly<
  Partial<Record<Type, { readonly part: number; readonly block: readonly number[] }>>
> = {
  q4_0: { part: 8, block: [0, 0x3c, ...all(16, 0x88)] },
  q4_1: { part: 15, block: [0, 0x3c, 0x80, 0xcb, ...all(16, 0xff)] },
  q5_0: { part: 16, block: [0, 0x3c, ...all(4, 0xff), ...all(16, 0)] },
  q5_1: { part: 31, block: [0, 0x3c, 0xc0, 0xcf, ...all(20, 0xff)] },
  q4_K: {
    part: 15,
    block: [0, 0x3c, 0, 0x3c, ...all(4, 1), ...all(4, 15), ...all(4, 0xf1), ...all(128, 0xff)],
  },
  q5_K: {
    part: 31,
    block: [0, 0x3c, 0, 0x3c, ...all(4, 1), ...all(4, 0x5f), ...all(4, 0xf1), ...all(160, 0xff)],
  },
  q6_K: { part: 32, block: [...all(128, 0), ...all(64, 0xaa), ...all(16, 1), 0, 0x3c] },
};

function all(count: number, byte: number): number[] {
  return new Array(count).fill(byte);
}

describeBuilds((h) => {
  const clear = (rows: number, columns: number) =>
    h.matrix(rows, columns, new Float32Array(rows * columns).fill(Number.NaN));
  const lowOf = (R: number, M: number, N: number): LowRank =>
    R === 0 ? NO_RANK : { left: h.matrix(M, R, draw(M * R, 5)), right: h.matrix(N, R, draw(N * R, 6)) };

  test.each(SIMPLE)('%s: whole numbers are exact at every count of rows', (type) => {
    for (const N of COUNTS)
      for (const K of [32, 96, 576]) {
        h.reset();
        const { w, values } = wholeBlocks(h, type, N, K);
        const xs = whole(2 * K, 4, 3);
        const y = clear(2, N);
        h.forward(PATH, { x: h.matrix(2, K, xs), w, low: NO_RANK, colScale: 0, bias: 0, y });
        const { values: wanted } = addProduct(newSums(2 * N), N, K, asRows(xs, K), asColumns(values, K));
        expect([...h.values(y)], `N ${N}, K ${K}`).toEqual([...wanted]);
        expect(h.intact(y)).toBe(true);
      }
  });

  test.each(TYPES)(
    '%s: every element is within its bound, with a low-rank operand, scale and bias',
    (type) => {
      for (const [M, N, blocks] of [
        [1, 27, 1],
        [1, 64, 6],
        [3, 9, 11],
      ] as const)
        for (const R of [0, 1, 8, 65]) {
          h.reset();
          const K = blocks * DTYPE_INFO[type].elements;
          const { w, values } = placed(h, type, N, K);
          const [xs, low] = [draw(M * K, 1), lowOf(R, M, N)];
          const [scales, biases] = [draw(N, 7), draw(N, 8)];
          const y = clear(M, N);
          const beside = { colScale: h.f32(scales), bias: h.f32(biases) };
          h.forward(PATH, { x: h.matrix(M, K, xs), w, low, ...beside, y });
          const sums = addProduct(newSums(M * N), N, K, asRows(xs, K), asColumns(values, K));
          addProduct(sums, N, R, asRows(draw(M * R, 5), R), asColumns(draw(N * R, 6), R));
          const got = h.values(y);
          for (let i = 0; i < got.length; i++) {
            const [s, b] = [scales[i % N]!, biases[i % N]!];
            // Scale and bias are two terms more.
            const bound = roundingBound(K + R + 2, Math.abs(s) * sums.sizes[i]! + Math.abs(b));
            const off = Math.abs(got[i]! - (s * sums.values[i]! + b));
            if (!(off <= bound))
              throw new Error(`[${M}, ${N}, ${K}] R ${R}: ${i} is off by ${off}, bound ${bound}`);
          }
          expect(h.intact(y)).toBe(true);
        }
    },
  );

  test.each(Object.entries(CANCELLED))(
    '%s: where the parts of a weight cancel, the bound is that of both',
    (name, { part, block }) => {
      const type = name as Type;
      const { elements, code } = DTYPE_INFO[type];
      const [N, blocks] = [5, 7];
      const [K, step] = [blocks * elements, blocks * block.length];
      const row = Uint8Array.from({ length: N * step }, (_, i) => block[i % block.length]!);
      expect(dequantise(type, row).every((value) => value === 0)).toBe(true);
      h.reset();
      const w: Weight = { pointer: h.bytes(row), rows: N, columns: K, code, step, from: 0 };
      const xs = draw(K, 1);
      const y = clear(1, N);
      h.forward(PATH, { x: h.matrix(1, K, xs), w, low: NO_RANK, colScale: 0, bias: 0, y });
      const size = xs.reduce((sum, x) => sum + Math.abs(x), 0);
      const off = Math.max(...h.values(y).map(Math.abs));
      expect(off).toBeLessThanOrEqual(roundingBound(K, 2 * part * size));
    },
  );

  test.each(TYPES)('%s: the bound holds for x from 2^-110 up to 2^100', (type) => {
    const [N, K] = [9, 3 * DTYPE_INFO[type].elements];
    for (const power of [-110, 99]) {
      h.reset();
      const { w, values } = placed(h, type, N, K);
      const xs = draw(K, 1).map((x) => Math.sign(x) * (1 + Math.abs(x) / 2) * 2 ** power);
      const y = clear(1, N);
      h.forward(PATH, { x: h.matrix(1, K, xs), w, low: NO_RANK, colScale: 0, bias: 0, y });
      const sums = addProduct(newSums(N), N, K, asRows(xs, K), asColumns(values, K));
      for (const [i, value] of h.values(y).entries())
        expect(Math.abs(value - sums.values[i]!)).toBeLessThanOrEqual(roundingBound(K, sums.sizes[i]!));
    }
  });

  test.each(TYPES)('%s: a row has the same bits whatever rows are computed with it', (type) => {
    h.reset();
    const [N, K] = [23, 3 * DTYPE_INFO[type].elements];
    const { w } = placed(h, type, N, K);
    const x = h.matrix(1, K, draw(K, 1));
    const all = clear(1, N);
    const rest = { x, low: NO_RANK, colScale: 0, bias: 0 };
    h.forward(PATH, { ...rest, w, y: all });
    for (const [from, rows] of [
      [0, 1],
      [5, 2],
      [7, 16],
      [22, 1],
    ] as const) {
      const part = clear(1, rows);
      h.forward(PATH, { ...rest, w: weightRows(w, from, rows), y: part });
      expect([...h.values(part)], `${rows} from ${from}`).toEqual([
        ...h.values(all).slice(from, from + rows),
      ]);
    }
  });

  test('without rows of x, or of the weight, nothing is written', () => {
    h.reset();
    const { w } = placed(h, 'q4_1', 3, 32);
    const y = clear(2, 3);
    const [none, x] = [h.matrix(0, 32, []), h.matrix(2, 32, draw(64, 1))];
    h.forward(PATH, { x: none, w, low: NO_RANK, colScale: 0, bias: 0, y: { ...y, rows: 0 } });
    const empty = { ...weightRows(w, 0, 0) };
    h.forward(PATH, {
      x,
      w: empty,
      low: NO_RANK,
      colScale: 0,
      bias: 0,
      y: matrix(y.pointer, 2, 0, y.stride),
    });
    expect([...h.values(y)]).toEqual(new Array(6).fill(Number.NaN));
  });
});

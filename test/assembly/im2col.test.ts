/** Windows of an image and their sums back, exactly, against plain loops over every window. */
import { expect, test } from 'vitest';
import { addColumnsTo, columnsFrom, type Windows } from '../../src/engine/windows.js';
import { whole as wholeNumbers } from '../support/numbers.js';
import { describeBuilds } from './builds.js';

interface Case {
  C: number;
  size: [number, number];
  kernel: [number, number];
  stride: [number, number];
  pad: [number, number];
  dilation: [number, number];
}

const make = (C: number, size: number[], kernel: number[], stride: number[], pad: number[], dil: number[]) =>
  ({ C, size, kernel, stride, pad, dilation: dil }) as Case;

const CASES: Case[] = [
  ...[1, 2, 3, 4, 5, 7, 8, 9, 17].map((k) => make(2, [k + 2, k + 3], [2, k], [1, 1], [0, 0], [1, 1])),
  ...[0, 1, 2, 4, 6].map((pad) => make(3, [6, 5], [3, 3], [1, 1], [pad, pad], [1, 1])),
  make(1, [1, 1], [1, 1], [1, 1], [0, 0], [1, 1]),
  make(1, [1, 1], [5, 5], [1, 1], [4, 4], [1, 1]),
  make(5, [7, 9], [1, 1], [1, 1], [0, 0], [1, 1]),
  ...[1, 3, 4, 6, 8, 9].map((C) => make(C, [3, C + 1], [1, 1], [1, 1], [0, 0], [1, 1])),
  make(2, [5, 4], [1, 1], [2, 1], [0, 1], [1, 1]),
  make(2, [9, 11], [3, 2], [2, 3], [1, 0], [1, 1]),
  make(2, [9, 11], [2, 3], [1, 2], [3, 2], [2, 3]),
  make(2, [4, 4], [3, 3], [1, 1], [5, 5], [2, 2]),
  make(1, [3, 3], [2, 2], [1, 1], [6, 7], [4, 5]),
  make(3, [8, 8], [3, 3], [3, 3], [2, 1], [1, 2]),
];

const whole = (n: number, seed: number): number[] => wholeNumbers(n, seed, 11);

/** [OH, OW], and for every element of cols the element of x it comes from, -1 for an edge. */
function windows({ C, size: [H, W], kernel, stride, pad, dilation }: Case) {
  const out = [0, 1].map(
    (i) => Math.floor(([H, W][i]! + 2 * pad[i]! - dilation[i]! * (kernel[i]! - 1) - 1) / stride[i]!) + 1,
  ) as [number, number];
  const source: number[] = [];
  for (let oh = 0; oh < out[0]; oh++)
    for (let ow = 0; ow < out[1]; ow++)
      for (let c = 0; c < C; c++)
        for (let kh = 0; kh < kernel[0]; kh++)
          for (let kw = 0; kw < kernel[1]; kw++) {
            const h = oh * stride[0] - pad[0] + kh * dilation[0];
            const w = ow * stride[1] - pad[1] + kw * dilation[1];
            source.push(h < 0 || h >= H || w < 0 || w >= W ? -1 : (c * H + h) * W + w);
          }
  return { out, source };
}

describeBuilds((h) => {
  test.each(CASES)('%j', (it) => {
    h.reset();
    const { C, size, kernel, stride, pad, dilation } = it;
    const n = C * size[0] * size[1];
    const { out, source } = windows(it);
    const [[H, W], [KH, KW], [OH, OW]] = [size, kernel, out];
    const sizes: Windows = { C, H, W, KH, KW, stride, padding: pad, dilation, OH, OW };
    const x = whole(n, 1);
    const image = h.matrix(1, n, x);
    const cols = h.matrix(1, source.length, new Array<number>(source.length).fill(Number.NaN));
    columnsFrom(h.kernels, sizes, image.pointer, cols.pointer);
    expect([...h.values(cols)]).toEqual(source.map((from) => (from < 0 ? 0 : x[from]!)));
    expect(h.intact(cols)).toBe(true);

    const values = whole(source.length, 2);
    const given = h.matrix(1, source.length, values);
    const dx = h.matrix(1, n, x);
    addColumnsTo(h.kernels, sizes, given.pointer, dx.pointer);
    const wanted = [...x];
    for (const [i, to] of source.entries()) if (to >= 0) wanted[to]! += values[i]!;
    expect([...h.values(dx)]).toEqual(wanted);
    expect(h.intact(dx)).toBe(true);
  });
});

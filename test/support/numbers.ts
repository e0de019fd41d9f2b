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

/** Throws unless two lists of numbers are the same, zeros' signs and NaN included: as `toEqual`, in a fraction of its time for long ones. */
export function expectSame(found: ArrayLike<number>, wanted: ArrayLike<number>, what = 'values'): void {
  if (found.length !== wanted.length)
    throw new Error(`${what}: ${found.length} numbers, expected ${wanted.length}`);
  for (let i = 0; i < wanted.length; i++)
    if (!Object.is(found[i], wanted[i]))
      throw new Error(`${what}: number ${i} is ${found[i]}, expected ${wanted[i]}`);
}

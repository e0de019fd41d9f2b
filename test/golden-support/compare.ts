/**
 * Comparing with golden values. PyTorch sums in another order, so float32 results differ in their last bits: a few 1e-6 of a
 * tensor's largest value at these sizes. A change of a hundredth of it must be seen, so the bounds stand well between.
 */
import type { Tensor } from 'lora-wasm';
import { expect } from 'vitest';
import type { GoldenTensor } from './files.js';

/** For values of one forward and backward pass, as a part of the tensor's largest value. */
export const DIRECT = 1e-4;

/**
 * For outputs and losses after optimiser steps. An element whose gradient is nothing but rounding may be stepped the other
 * way, which moves these by far more than rounding does.
 */
export const STEPPED = 1e-3;

/** Expected rounding of a gradient, as a part of its tensor's largest value. */
const GRADIENT_NOISE = 1e-5;

/** Every element within `part` of the largest golden value; shapes equal. */
export function expectTensor(
  what: string,
  got: Tensor | null,
  want: GoldenTensor,
  part: number = DIRECT,
): void {
  if (got === null) throw new Error(`${what}: there is none, expected [${want.shape.join(', ')}]`);
  expect(got.shape, `${what}: shape`).toEqual(want.shape);
  const bound = part * largest(want.data);
  expectWithin(what, got.toArray(), want.data, () => bound);
}

/** A single number, such as a loss, within `part` of its size. */
export function expectNumber(what: string, got: number, want: number, part: number): void {
  expectWithin(what, [got], [want], () => part * Math.abs(want) + 1e-7);
}

let watcher: ((got: ArrayLike<number>) => void) | null = null;

/** Runs `check` and shows `see` every array that it compares, in order. */
export async function watching(
  see: (got: ArrayLike<number>) => void,
  check: () => void | Promise<void>,
): Promise<void> {
  watcher = see;
  try {
    await check();
  } finally {
    watcher = null;
  }
}

/** Each element within its own bound. Reports the first three that are not. */
export function expectWithin(
  what: string,
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  bound: (i: number) => number,
): void {
  watcher?.(got);
  expect(got.length, `${what}: elements`).toBe(want.length);
  const wrong: string[] = [];
  for (let i = 0; i < want.length; i++) {
    const error = Math.abs(got[i]! - want[i]!);
    // Written so that NaN is wrong too.
    if (!(error <= bound(i))) wrong.push(`element ${i} is ${got[i]}, expected ${want[i]} within ${bound(i)}`);
  }
  expect(wrong.slice(0, 3), `${what}: ${wrong.length} of ${want.length} elements are off`).toEqual([]);
}

export function largest(values: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]!));
  return most;
}

/**
 * How far a parameter may lie from the golden one after steps of Adam. One step moves an element by lr · m / √v, so noise
 * δ in the gradient moves it by about lr · δ / √v: little where the gradients so far are large beside δ, and up to twice
 * the learning rate where they are nothing but noise.
 */
export class AdamBound {
  readonly #lr: number;
  readonly #squares: Float64Array;
  readonly #slack: Float64Array;
  #steps = 0;

  constructor(size: number, lr: number) {
    this.#lr = lr;
    this.#squares = new Float64Array(size);
    this.#slack = new Float64Array(size);
  }

  /** Call once before each step. */
  seen(gradient: ArrayLike<number>): void {
    const noise = GRADIENT_NOISE * largest(gradient);
    this.#steps++;
    for (let i = 0; i < this.#slack.length; i++) {
      this.#squares[i]! += gradient[i]! ** 2;
      const size = Math.sqrt(this.#squares[i]! / this.#steps);
      this.#slack[i]! += this.#lr * (size === 0 ? 0 : Math.min(2, (4 * noise) / size));
    }
  }

  expect(what: string, got: Tensor, want: GoldenTensor): void {
    expect(got.shape, `${what}: shape`).toEqual(want.shape);
    const rounding = GRADIENT_NOISE * largest(want.data);
    expectWithin(what, got.toArray(), want.data, (i) => rounding + this.#slack[i]!);
  }
}

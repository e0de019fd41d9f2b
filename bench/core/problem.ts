/**
 * One layer's operations over one problem, as this package and every peer prepares them: the data of a shape, the same on every
 * engine, and the float64 twin that a result is held against before it is timed.
 */
import { verify, verifyClose } from '../../reference/check.js';
import {
  expectForward,
  type LowRank,
  productSums,
  squaredErrorGradient,
  type TwinGradients,
  twinGradients,
} from '../../reference/network.js';
import type { Sums } from '../../reference/products.js';
import { randomArray } from '../../reference/random.js';
import { layerContest, stepFlops, twinLayers } from './contest.js';
import { shapeText } from './records.js';

export const OPERATIONS = ['linear forward', 'LoRA forward', 'LoRA training step'] as const;
export type Operation = (typeof OPERATIONS)[number];

export const LEARNING_RATE = 1e-3;

/** What an operation computed, copied out: y of a forward, the first step's gradients of a training step. */
export type Results =
  | { readonly y: Float32Array }
  | { readonly da: Float32Array; readonly db: Float32Array; readonly dx: Float32Array };

/** One operation over one problem, its data in the contestant's own memory. */
export interface Prepared {
  /** The timed body. A promise is awaited. */
  run(): unknown;
  /** Before the first `run` of a training step: its gradients. After a `run` of a forward: y. */
  read(): Promise<Results> | Results;
  /** Mean squared error at the present factors; training steps only. */
  loss?(): Promise<number> | number;
  /** Where the contestant lives in another process: the median ms of calls within `ms`, by its own clock. */
  time?(ms: number): Promise<number>;
  dispose(): void;
}

export interface Shape {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** Null: the plain product alone. */
  readonly r: number | null;
}

/** y = x·Wᵀ + bias + scaling·(x·Aᵀ)·Bᵀ; x [M,K], W [N,K], target [M,N]. */
export interface Problem extends Shape {
  readonly x: Float32Array;
  readonly w: Float32Array;
  readonly bias: Float32Array;
  readonly low: LowRank;
  readonly target: Float32Array;
}

export function problemOf(shape: Shape): Problem {
  const { M, N, K } = shape;
  const [layer] = twinLayers(layerContest(M, N, K, shape.r ?? 1));
  const { w, bias, low } = layer!;
  return { ...shape, x: randomArray(M * K, 7), w, bias, low, target: randomArray(M * N, 8) };
}

export function shapeOf({ M, N, K, r }: Shape, operation: Operation): string {
  return shapeText(M, N, K, operation === 'linear forward' ? null : r);
}

/** Flops that the operation cannot do without; a contestant that does more is not given credit for it. */
export function flopsOf({ M, N, K, r }: Shape, operation: Operation): number {
  if (operation === 'linear forward') return 2 * M * N * K;
  if (operation === 'LoRA forward') return 2 * M * N * K + 2 * M * r! * (N + K);
  return stepFlops(layerContest(M, N, K, r!)).lora;
}

/** The twin of one problem, the gradients computed when first asked for. */
export class Twin {
  readonly #problem: Problem;
  readonly #sums: Sums;
  #gradients: TwinGradients | null = null;

  constructor(problem: Problem) {
    this.#problem = problem;
    this.#sums = productSums(problem, problem.x);
  }

  #step(): TwinGradients {
    const { M, x, target } = this.#problem;
    this.#gradients ??= twinGradients([this.#problem], M, x, squaredErrorGradient(target))[0]!;
    return this.#gradients;
  }

  /** Holds results against the twin, and for a training step wants a loss that falls. @throws Error naming the contestant */
  async check(name: string, operation: Operation, prepared: Prepared): Promise<void> {
    const what = `${name} ${operation}`;
    if (operation !== 'LoRA training step') await prepared.run();
    const results = await prepared.read();
    if ('y' in results) {
      const { K, x, low } = this.#problem;
      verify(what, results.y, expectForward(this.#sums, K, x, operation === 'linear forward' ? null : low));
      return;
    }
    const { da, db, dx } = this.#step();
    verifyClose(`${what}, gradient of A`, results.da, da!);
    verifyClose(`${what}, gradient of B`, results.db, db!);
    verifyClose(`${what}, gradient of x`, results.dx, dx);
    const before = await prepared.loss!();
    for (let i = 0; i < 3; i++) await prepared.run();
    expectFalling(name, before, await prepared.loss!());
  }
}

/** @throws Error unless three steps brought the loss down */
export function expectFalling(name: string, before: number, after: number): void {
  if (!(after < before))
    throw new Error(`verify: ${name}: loss is ${after} after three steps, expected below ${before}`);
}

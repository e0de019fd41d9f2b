/** The data of a shape, the same on every engine, and the float64 twin that every contestant is held against first. */
import { layerContest, SCALING, stepFlops, twinLayers } from '../contest.js';
import { shapeText } from '../records.js';
import { squaredErrorGradient, type TwinGradients, twinGradients } from '../twin.js';
import {
  type Expected,
  expectForward,
  type LowRank,
  productSums,
  randomArray,
  verify,
  verifyClose,
} from '../verify.js';
import type { Operation, Results } from './peer.js';

export interface Shape {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** Null: the plain product alone. */
  readonly r: number | null;
}

export const SHAPES: readonly Shape[] = [
  { M: 256, N: 768, K: 768, r: 8 },
  { M: 10, N: 2000, K: 1000, r: 1 },
  { M: 64, N: 768, K: 768, r: 8 },
  { M: 1, N: 768, K: 768, r: null },
];

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
  return { ...shape, x: randomArray(M * K, 7), w, bias, low: low!, target: randomArray(M * N, 8) };
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

/** The twin of one shape, each part computed when first asked for. */
export class Twin {
  readonly #problem: Problem;
  readonly #sums: Expected;

  constructor(problem: Problem) {
    this.#problem = problem;
    const { M, N, K, x, w, bias } = problem;
    this.#sums = productSums(M, N, K, x, w, bias);
  }

  /** Refuses a wrong result. @throws Error naming the contestant and the element */
  check(what: string, operation: Operation, results: Results): void {
    const { M, N, K, x, low } = this.#problem;
    if ('y' in results) {
      const adapter = operation === 'linear forward' ? null : low;
      verify(what, results.y, expectForward(this.#sums, M, N, K, x, adapter));
      return;
    }
    const { da, db, dx } = this.#gradients();
    verifyClose(`${what}, gradient of A`, results.da, da!);
    verifyClose(`${what}, gradient of B`, results.db, db!);
    verifyClose(`${what}, gradient of x`, results.dx, dx);
  }

  #cached: (TwinGradients & { readonly dx: Float64Array }) | null = null;

  #gradients(): TwinGradients & { readonly dx: Float64Array } {
    if (this.#cached === null) {
      const { M, N, K, x, w, bias, low, target } = this.#problem;
      let dy = new Float64Array(0);
      const lossGradient = (y: Float64Array): Float64Array => {
        dy = Float64Array.from(squaredErrorGradient(target)(y));
        return dy;
      };
      const [gradients] = twinGradients([{ N, K, w, bias, low }], M, x, lossGradient);
      this.#cached = { ...gradients!, dx: inputGradient(this.#problem, dy) };
    }
    return this.#cached;
  }
}

/** dy·(W + s·B·A) in float64. */
function inputGradient({ M, N, K, w, low }: Problem, dy: Float64Array): Float64Array {
  const dx = new Float64Array(M * K);
  const weight = new Float64Array(K);
  for (let n = 0; n < N; n++) {
    for (let k = 0; k < K; k++) {
      weight[k] = w[n * K + k]!;
      for (let r = 0; r < low.r; r++) weight[k]! += SCALING * low.b[n * low.r + r]! * low.a[r * K + k]!;
    }
    for (let m = 0; m < M; m++) {
      const g = dy[m * N + n]!;
      for (let k = 0; k < K; k++) dx[m * K + k]! += g * weight[k]!;
    }
  }
  return dx;
}

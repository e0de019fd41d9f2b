/** The contests between a LoRA step and a full step: shapes, the same parameters for both sides, flops. */
import type { LowRank, TwinLayer } from '../../reference/network.js';
import { randomArray } from '../../reference/random.js';
import { MNIST_SHAPE, shapeText } from './records.js';

/** One contest: the same data, the same base, LoRA against all weights. */
export interface Contest {
  readonly shape: string;
  readonly M: number;
  readonly r: number;
  /** [out, in] of each layer. */
  readonly sizes: readonly (readonly [number, number])[];
  /** Whether x wants a gradient, as an inner layer's does. */
  readonly inner: boolean;
}

/** One layer in the middle of a network. */
export function layerContest(M: number, N: number, K: number, r: number): Contest {
  return { shape: shapeText(M, N, K, r), M, r, sizes: [[N, K]], inner: true };
}

export const MNIST_SIZES = [
  [1000, 784],
  [2000, 1000],
  [10, 2000],
] as const;

export const MNIST_CONTEST: Contest = { shape: MNIST_SHAPE, M: 10, r: 1, sizes: MNIST_SIZES, inner: false };

/** Every contest's alpha over r. */
export const SCALING = 1;
/** Parameters of both sides, the adapters' B not zero, so that every gradient is tested. */
export function twinLayers({ sizes, r }: Contest): (TwinLayer & { readonly low: LowRank })[] {
  return sizes.map(([N, K], i) => {
    const bound = 1 / Math.sqrt(K);
    const low = {
      r,
      a: randomArray(r * K, 10 * i + 1, bound),
      b: randomArray(N * r, 10 * i + 2, bound),
      scaling: SCALING,
    };
    return { N, K, w: randomArray(N * K, 10 * i + 3, bound), bias: randomArray(N, 10 * i + 4, bound), low };
  });
}

/** Flops of the products: of a LoRA step, a full step, and the LoRA step's forward and dx products. */
export function stepFlops({ M, r, sizes, inner }: Contest): { lora: number; full: number; own: number } {
  let [lora, full, own] = [0, 0, 0];
  for (const [i, [N, K]] of sizes.entries()) {
    const product = 2 * M * N * K;
    const passes = i > 0 || inner ? 2 : 1;
    full += product * (passes + 1);
    own += product * passes + 2 * M * r * (N + (passes - 1) * K);
    // h, h·Bᵀ, u, dA, dB, and u·A where dx is wanted.
    lora += product * passes + 2 * M * r * (K + N + N + K + N + (passes - 1) * K);
  }
  return { lora, full, own };
}

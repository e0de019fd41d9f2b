/** The contests between a LoRA step and a full step: shapes, the same parameters and data for both sides, flops. */
import { crossEntropy, mseLoss, type Runtime, type Tensor } from 'lora-wasm';
import { MNIST_SHAPE, shapeText } from './records.js';
import { crossEntropyGradient, squaredErrorGradient, type TwinLayer } from './twin.js';
import { randomArray } from './verify.js';

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
export function twinLayers({ sizes, r }: Contest): TwinLayer[] {
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

/** Inputs, the loss over them and the gradient of that loss in float64. */
export interface Batch {
  readonly xData: Float32Array;
  readonly x: Tensor;
  readonly lossOf: (y: Tensor) => Tensor;
  readonly lossGradient: (y: Float64Array) => Float64Array;
  readonly tensors: Tensor[];
}

export function batchOf(rt: Runtime, { M, sizes, inner }: Contest): Batch {
  const K = sizes[0]![1];
  const N = sizes.at(-1)![0];
  const xData = randomArray(M * K, 7);
  const x = rt.tensor(xData, [M, K]);
  if (inner) {
    const target = randomArray(M * N, 8);
    const t = rt.tensor(target, [M, N]);
    return {
      xData,
      x,
      lossOf: (y) => mseLoss(y, t),
      lossGradient: squaredErrorGradient(target),
      tensors: [x, t],
    };
  }
  const labels = Int32Array.from({ length: M }, (_, i) => (i * 7) % N);
  const t = rt.tensor(labels, [M]);
  return {
    xData,
    x,
    lossOf: (y) => crossEntropy(y, t),
    lossGradient: crossEntropyGradient(labels, N),
    tensors: [x, t],
  };
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

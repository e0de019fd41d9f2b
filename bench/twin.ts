/**
 * Float64 twin of a training step's gradients, for networks of linear layers with ReLU between them: what the LoRA and
 * the full step are checked against before they are timed.
 */
import type { LowRank } from './verify.js';

export interface TwinLayer {
  readonly N: number;
  readonly K: number;
  readonly w: Float32Array;
  readonly bias: Float32Array;
  readonly low: LowRank | null;
}

/** Gradients of one layer: of W, or of A and B where the layer is adapted. */
export interface TwinGradients {
  readonly dw: Float64Array | null;
  readonly da: Float64Array | null;
  readonly db: Float64Array | null;
}

/** W + s·B·A. */
function effectiveWeight({ N, K, w, low }: TwinLayer): Float64Array {
  const weight = Float64Array.from(w);
  if (low === null) return weight;
  for (let n = 0; n < N; n++) {
    for (let r = 0; r < low.r; r++) {
      const factor = low.scaling * low.b[n * low.r + r]!;
      for (let k = 0; k < K; k++) weight[n * K + k]! += factor * low.a[r * K + k]!;
    }
  }
  return weight;
}

/**
 * @param x - [M, K of the first layer]
 * @param lossGradient - gradient of the loss with respect to the last layer's output [M, N]
 * @returns gradients of each layer, in order
 */
export function twinGradients(
  layers: readonly TwinLayer[],
  M: number,
  x: Float32Array,
  lossGradient: (y: Float64Array) => Float64Array,
): TwinGradients[] {
  const weights = layers.map(effectiveWeight);
  const inputs: Float64Array[] = [Float64Array.from(x)];
  for (const [i, { N, K, bias }] of layers.entries()) {
    const y = new Float64Array(M * N);
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        let sum = bias[n]!;
        for (let k = 0; k < K; k++) sum += inputs[i]![m * K + k]! * weights[i]![n * K + k]!;
        y[m * N + n] = i < layers.length - 1 ? Math.max(sum, 0) : sum;
      }
    }
    inputs.push(y);
  }
  let dy = lossGradient(inputs.pop()!);
  const gradients: TwinGradients[] = [];
  for (let i = layers.length - 1; i >= 0; i--) {
    const { N, K } = layers[i]!;
    const input = inputs[i]!;
    const dw = new Float64Array(N * K);
    const dx = new Float64Array(M * K);
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        const g = dy[m * N + n]!;
        if (g === 0) continue;
        for (let k = 0; k < K; k++) {
          dw[n * K + k]! += g * input[m * K + k]!;
          dx[m * K + k]! += g * weights[i]![n * K + k]!;
        }
      }
    }
    gradients.unshift(split(layers[i]!, dw));
    // The input of a later layer is a ReLU's output: its gradient passes where it is positive.
    dy = i > 0 ? dx.map((g, at) => (input[at]! > 0 ? g : 0)) : dx;
  }
  return gradients;
}

/** From the gradient of the effective weight: dA = s·Bᵀ·dW and dB = s·dW·Aᵀ. */
function split({ N, K, low }: TwinLayer, dw: Float64Array): TwinGradients {
  if (low === null) return { dw, da: null, db: null };
  const da = new Float64Array(low.r * K);
  const db = new Float64Array(N * low.r);
  for (let n = 0; n < N; n++) {
    for (let r = 0; r < low.r; r++) {
      const factor = low.scaling * low.b[n * low.r + r]!;
      let sum = 0;
      for (let k = 0; k < K; k++) {
        da[r * K + k]! += factor * dw[n * K + k]!;
        sum += dw[n * K + k]! * low.a[r * K + k]!;
      }
      db[n * low.r + r] = low.scaling * sum;
    }
  }
  return { dw: null, da, db };
}

/** Gradient of the mean squared error. */
export function squaredErrorGradient(target: Float32Array): (y: Float64Array) => Float64Array {
  return (y) => y.map((value, i) => (2 * (value - target[i]!)) / y.length);
}

/** Gradient of the mean softmax cross-entropy over rows of `classes`. */
export function crossEntropyGradient(labels: Int32Array, classes: number): (y: Float64Array) => Float64Array {
  return (y) => {
    const gradient = new Float64Array(y.length);
    for (const [m, label] of labels.entries()) {
      const row = y.subarray(m * classes, (m + 1) * classes);
      const top = Math.max(...row);
      const powers = row.map((value) => Math.exp(value - top));
      const sum = powers.reduce((total, value) => total + value, 0);
      for (let n = 0; n < classes; n++) {
        gradient[m * classes + n] = (powers[n]! / sum - (n === label ? 1 : 0)) / labels.length;
      }
    }
    return gradient;
  };
}

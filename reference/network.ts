/** Linear layers with a low-rank term and ReLU between them in float64: their outputs, and the gradients of a training step. */
import type { Expected } from './check.js';
import { addProduct, asColumns, asRows, newSums, roundingBound, type Sums } from './products.js';

/** Numbers of the kernels, or of a twin that is trained itself. */
type Floats = Float32Array | Float64Array;

/** The low-rank part of a layer: A [r,K], B [N,r], scaling. */
export interface LowRank<F extends Floats = Float32Array> {
  readonly r: number;
  readonly a: F;
  readonly b: F;
  readonly scaling: number;
}

/** W is [N,K], the bias [N]. */
export interface TwinLayer<F extends Floats = Float32Array> {
  readonly N: number;
  readonly K: number;
  readonly w: Float32Array;
  readonly bias: Float32Array;
  readonly low: LowRank<F> | null;
}

/** x·Wᵀ + bias over rows of x, to be finished by `expectForward`. */
export function productSums({ N, K, w, bias }: Omit<TwinLayer, 'low'>, x: ArrayLike<number>): Sums {
  const start = newSums((x.length / K) * N, (i) => bias[i % N]!);
  return addProduct(start, N, K, asRows(x, K), asColumns(w, K));
}

/** What a forward must be: sums of `productSums`, and s·(x·Aᵀ)·Bᵀ where a low-rank part is there. */
export function expectForward(sums: Sums, K: number, x: ArrayLike<number>, low: LowRank | null): Expected {
  const M = x.length / K;
  const N = sums.values.length / M;
  const [values, sizes] = [sums.values.slice(), sums.sizes.slice()];
  if (low !== null) {
    const { r, a, b, scaling } = low;
    const hidden = addProduct(newSums(M * r), r, K, asRows(x, K), asColumns(a, K), scaling);
    addProduct({ values, sizes: sizes.slice() }, N, r, asRows(hidden.values, r), asColumns(b, r));
    // The bound is of every term's size, also where the terms of x·Aᵀ cancel.
    const size = { values: sizes, sizes: sizes.slice() };
    addProduct(size, N, r, asRows(hidden.sizes, r), asColumns(b.map(Math.abs), r));
  }
  return { values, bounds: sizes.map((size) => roundingBound(K + (low?.r ?? 0), size)) };
}

/** Gradients of one layer: of W, or of A and B where the layer is adapted; and of its input. */
export interface TwinGradients {
  readonly dw: Float64Array | null;
  readonly da: Float64Array | null;
  readonly db: Float64Array | null;
  readonly dx: Float64Array;
}

/** W + s·B·A. */
function effectiveWeight({ N, K, w, low }: TwinLayer<Floats>): Float64Array {
  const weight = newSums(N * K, (i) => w[i]!);
  if (low !== null) addProduct(weight, K, low.r, asRows(low.b, low.r), asRows(low.a, K), low.scaling);
  return weight.values;
}

/**
 * @param x - [M, K of the first layer]
 * @param lossGradient - gradient of the loss with respect to the last layer's output [M, N]
 * @returns gradients of each layer, in order
 */
export function twinGradients(
  layers: readonly TwinLayer<Floats>[],
  M: number,
  x: Float32Array,
  lossGradient: (y: Float64Array) => Float64Array,
): TwinGradients[] {
  const weights = layers.map(effectiveWeight);
  const inputs: Float64Array[] = [Float64Array.from(x)];
  for (const [i, { N, K, bias }] of layers.entries()) {
    const start = newSums(M * N, (at) => bias[at % N]!);
    const y = addProduct(start, N, K, asRows(inputs[i]!, K), asColumns(weights[i]!, K)).values;
    inputs.push(i < layers.length - 1 ? y.map((value) => Math.max(value, 0)) : y);
  }
  let dy = lossGradient(inputs.pop()!);
  const gradients: TwinGradients[] = [];
  for (let i = layers.length - 1; i >= 0; i--) {
    const { N, K } = layers[i]!;
    const input = inputs[i]!;
    const dw = addProduct(newSums(N * K), K, M, asColumns(dy, N), asRows(input, K)).values;
    const dx = addProduct(newSums(M * K), K, N, asRows(dy, N), asRows(weights[i]!, K)).values;
    gradients.unshift({ ...split(layers[i]!, dw), dx });
    // The input of a later layer is a ReLU's output: its gradient passes where it is positive.
    dy = dx.map((g, at) => (input[at]! > 0 ? g : 0));
  }
  return gradients;
}

/** From the gradient of the effective weight: dA = s·Bᵀ·dW and dB = s·dW·Aᵀ. */
function split({ N, K, low }: TwinLayer<Floats>, dw: Float64Array): Omit<TwinGradients, 'dx'> {
  if (low === null) return { dw, da: null, db: null };
  const { r, a, b, scaling } = low;
  const da = addProduct(newSums(r * K), K, N, asColumns(b, r), asRows(dw, K), scaling).values;
  const db = addProduct(newSums(N * r), r, K, asRows(dw, K), asColumns(a, K), scaling).values;
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
      for (let n = 0; n < classes; n++)
        gradient[m * classes + n] = (powers[n]! / sum - (n === label ? 1 : 0)) / labels.length;
    }
    return gradient;
  };
}

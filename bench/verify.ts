/**
 * Float64 twins of what the benchmark times, and the check that every contestant passes before it is timed: each element
 * within the rounding bound of its own sum, `|error| <= (length + 2) · 2^-23 · Σ|a||b|`.
 */

/** What an output must be: exact values and the bound of each element. */
export interface Expected {
  readonly values: Float64Array;
  readonly bounds: Float64Array;
}

/** The low-rank part of a layer: A [r,K], B [N,r], scaling. */
export interface LowRank {
  readonly r: number;
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly scaling: number;
}

const EPSILON = 2 ** -23;

/** y = x·Wᵀ + bias in float64, and Σ|x||w| + |bias| in `bounds`, before the factor. */
export function productSums(
  M: number,
  N: number,
  K: number,
  x: Float32Array,
  w: Float32Array,
  bias: Float32Array,
): Expected {
  const values = new Float64Array(M * N);
  const bounds = new Float64Array(M * N);
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      let sum = bias[n]!;
      let size = Math.abs(sum);
      for (let k = 0; k < K; k++) {
        const term = x[m * K + k]! * w[n * K + k]!;
        sum += term;
        size += Math.abs(term);
      }
      values[m * N + n] = sum;
      bounds[m * N + n] = size;
    }
  }
  return { values, bounds };
}

/** Adds `s·(x·Aᵀ)·Bᵀ` to sums of `productSums` and gives the finished expectation; without `low`, the product alone. */
export function expectForward(
  sums: Expected,
  M: number,
  N: number,
  K: number,
  x: Float32Array,
  low: LowRank | null,
): Expected {
  const values = sums.values.slice();
  const bounds = sums.bounds.slice();
  const R = low?.r ?? 0;
  const h = new Float64Array(R);
  const hSize = new Float64Array(R);
  for (let m = 0; m < M; m++) {
    for (let r = 0; r < R; r++) {
      let sum = 0;
      let size = 0;
      for (let k = 0; k < K; k++) {
        const term = x[m * K + k]! * low!.a[r * K + k]!;
        sum += term;
        size += Math.abs(term);
      }
      h[r] = sum * low!.scaling;
      hSize[r] = size * Math.abs(low!.scaling);
    }
    for (let n = 0; n < N; n++) {
      const at = m * N + n;
      for (let r = 0; r < R; r++) {
        values[at]! += h[r]! * low!.b[n * R + r]!;
        bounds[at]! += hSize[r]! * Math.abs(low!.b[n * R + r]!);
      }
      bounds[at]! *= (K + R + 2) * EPSILON;
    }
  }
  return { values, bounds };
}

/**
 * Refuses a result with an element outside its bound (NaN included), or bounds so wide that they would prove nothing.
 * @throws Error naming the contestant, the element, what it is and what was expected
 */
export function verify(what: string, got: Float32Array, expected: Expected): void {
  const { values, bounds } = expected;
  if (got.length !== values.length) {
    throw new Error(`verify: ${what} has ${got.length} elements, expected ${values.length}`);
  }
  let largest = 0;
  let widest = 0;
  for (let i = 0; i < got.length; i++) {
    largest = Math.max(largest, Math.abs(values[i]!));
    widest = Math.max(widest, bounds[i]!);
    if (!(Math.abs(got[i]! - values[i]!) <= bounds[i]!)) {
      throw new Error(
        `verify: ${what}: element ${i} is ${got[i]}, expected ${values[i]} within ${bounds[i]}`,
      );
    }
  }
  if (widest > 0.01 * largest) {
    throw new Error(
      `verify: ${what}: bound is ${widest}, expected at most a hundredth of the largest value, ${largest}`,
    );
  }
}

/** The largest error allowed is `share` of the largest expected value: for gradients, whose sums chain several layers. */
export function verifyClose(what: string, got: Float32Array, values: Float64Array, share = 1e-4): void {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  verify(what, got, { values, bounds: new Float64Array(values.length).fill(share * largest) });
}

/** Numbers from U(-scale, scale), the same for the same seed on every engine. */
export function randomArray(length: number, seed: number, scale = 1): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length }, () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return scale * (((bits ^ (bits >>> 14)) >>> 0) / 2 ** 31 - 1);
  });
}

/** The parts of a language model in float64, plainly: what the kernels are held against. */

type Values = ArrayLike<number>;

/** Rows [M,N] divided by their root mean square, and the rstd of each. */
export function rmsNorm(x: Values, weight: Values, eps: number): { y: Float64Array; rstd: Float64Array } {
  const N = weight.length;
  const y = new Float64Array(x.length);
  const rstd = new Float64Array(x.length / N);
  for (let m = 0; m < rstd.length; m++) {
    let squares = 0;
    for (let n = 0; n < N; n++) squares += x[m * N + n]! ** 2;
    rstd[m] = 1 / Math.sqrt(squares / N + eps);
    for (let n = 0; n < N; n++) y[m * N + n] = x[m * N + n]! * rstd[m]! * weight[n]!;
  }
  return { y, rstd };
}

/** Gradients of x and weight. */
export function rmsNormBackward(
  x: Values,
  weight: Values,
  eps: number,
  dy: Values,
): { dx: Float64Array; dweight: Float64Array } {
  const N = weight.length;
  const { rstd } = rmsNorm(x, weight, eps);
  const dx = new Float64Array(x.length);
  const dweight = new Float64Array(N);
  for (let m = 0; m < rstd.length; m++) {
    const r = rstd[m]!;
    let mean = 0;
    for (let n = 0; n < N; n++) mean += (dy[m * N + n]! * weight[n]! * x[m * N + n]! * r) / N;
    for (let n = 0; n < N; n++) {
      const hat = x[m * N + n]! * r;
      dx[m * N + n] = r * (dy[m * N + n]! * weight[n]! - hat * mean);
      dweight[n]! += dy[m * N + n]! * hat;
    }
  }
  return { dx, dweight };
}

/** x/(1 + e^-x) */
export function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}

export function siluSlope(x: number): number {
  const s = 1 / (1 + Math.exp(-x));
  return s * (1 + x * (1 - s));
}

/** The angle of pair j of a head at a position. */
export function rotaryAngle(position: number, j: number, headDim: number, theta: number, factor = 1): number {
  return (position * theta ** ((-2 * j) / headDim)) / factor;
}

/** Heads of `headDim` elements turned, each by the angles of its position; `angle` gives that of pair j. */
export function rotate(
  x: Values,
  heads: number,
  headDim: number,
  angle: (row: number, j: number) => number,
): Float64Array {
  const y = new Float64Array(x.length);
  const half = headDim / 2;
  for (let at = 0; at < x.length; at += headDim) {
    const row = Math.floor(at / (heads * headDim));
    for (let j = 0; j < half; j++) {
      const [c, s] = [Math.cos(angle(row, j)), Math.sin(angle(row, j))];
      y[at + j] = x[at + j]! * c - x[at + half + j]! * s;
      y[at + half + j] = x[at + half + j]! * c + x[at + j]! * s;
    }
  }
  return y;
}

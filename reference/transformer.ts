/** The parts of a language model in float64, plainly: what the kernels are held against. */

import type { AttentionShape } from '../src/engine/attention.js';

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

/** Sizes of an attention: B rows of T queries over S keys, `heads` heads of D elements that share `kvHeads` of keys and values. */
export interface AttentionSizes extends AttentionShape {
  /** [B, T]: the first key that a query may see; absent 0. */
  readonly starts: Values | null;
}

/** The probabilities of one query and head: those of keys from `first` on, and the logarithm of their sum before. */
function probabilities(
  sizes: AttentionSizes,
  q: Values,
  k: Values,
  [b, t, h]: readonly [number, number, number],
): { first: number; p: number[]; lse: number } {
  const { T, S, heads, kvHeads, D, scale, window, offset, starts } = sizes;
  const last = offset + t;
  const first = Math.max(starts?.[b * T + t] ?? 0, window > 0 ? last - window + 1 : 0);
  const head = Math.floor(h / (heads / kvHeads));
  const scores = Array.from({ length: last - first + 1 }, (_, i) => {
    let dot = 0;
    for (let d = 0; d < D; d++)
      dot += q[((b * T + t) * heads + h) * D + d]! * k[((b * S + first + i) * kvHeads + head) * D + d]!;
    return scale * dot;
  });
  const top = Math.max(...scores);
  const e = scores.map((s) => Math.exp(s - top));
  const total = e.reduce((sum, v) => sum + v, 0);
  return { first, p: e.map((v) => v / total), lse: top + Math.log(total) };
}

/** Calls `body` for every row, query and head. */
function eachQuery(
  { B, T, heads }: AttentionSizes,
  body: (place: readonly [number, number, number]) => void,
): void {
  for (let b = 0; b < B; b++) for (let t = 0; t < T; t++) for (let h = 0; h < heads; h++) body([b, t, h]);
}

/** Causal attention: y [B,T,heads,D], and lse [B,T,heads]. */
export function attention(
  sizes: AttentionSizes,
  { q, k, v }: { q: Values; k: Values; v: Values },
): { y: Float64Array; lse: Float64Array } {
  const { B, T, S, heads, kvHeads, D } = sizes;
  const y = new Float64Array(B * T * heads * D);
  const lse = new Float64Array(B * T * heads);
  eachQuery(sizes, (place) => {
    const [b, t, h] = place;
    const row = (b * T + t) * heads + h;
    const head = Math.floor(h / (heads / kvHeads));
    const { first, p, lse: log } = probabilities(sizes, q, k, place);
    lse[row] = log;
    for (const [i, weight] of p.entries())
      for (let d = 0; d < D; d++)
        y[row * D + d]! += weight * v[((b * S + first + i) * kvHeads + head) * D + d]!;
  });
  return { y, lse };
}

/** Gradients of q, k and v. */
export function attentionBackward(
  sizes: AttentionSizes,
  { q, k, v, dy }: { q: Values; k: Values; v: Values; dy: Values },
): { dq: Float64Array; dk: Float64Array; dv: Float64Array } {
  const { T, S, heads, kvHeads, D, scale } = sizes;
  const dq = new Float64Array(q.length);
  const [dk, dv] = [new Float64Array(k.length), new Float64Array(v.length)];
  eachQuery(sizes, (place) => {
    const [b, t, h] = place;
    const row = ((b * T + t) * heads + h) * D;
    const head = Math.floor(h / (heads / kvHeads));
    const { first, p } = probabilities(sizes, q, k, place);
    const at = (i: number): number => ((b * S + first + i) * kvHeads + head) * D;
    const dp = p.map((_, i) => {
      let dot = 0;
      for (let d = 0; d < D; d++) dot += dy[row + d]! * v[at(i) + d]!;
      return dot;
    });
    const mean = dp.reduce((sum, value, i) => sum + value * p[i]!, 0);
    for (const [i, weight] of p.entries()) {
      const ds = scale * weight * (dp[i]! - mean);
      for (let d = 0; d < D; d++) {
        dq[row + d]! += ds * k[at(i) + d]!;
        dk[at(i) + d]! += ds * q[row + d]!;
        dv[at(i) + d]! += weight * dy[row + d]!;
      }
    }
  });
  return { dq, dk, dv };
}

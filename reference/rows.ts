/** What a row of N numbers, the first at `from`, comes to in float64. */

/** The numbers by their places. */
export type At = (i: number) => number;

/** log Σ e^x. */
export function logSumExp(x: At, from: number, N: number): number {
  let total = 0;
  for (let at = from; at < from + N; at++) total += Math.exp(x(at));
  return Math.log(total);
}

/** Σ x², the numbers `step` apart. */
export function squares(x: At, from: number, count: number, step = 1): number {
  let squared = 0;
  for (let i = 0; i < count; i++) squared += x(from + i * step) ** 2;
  return squared;
}

/** Where the largest is, the first of equals. */
export function largest(x: At, from: number, N: number): number {
  let best = 0;
  for (let n = 1; n < N; n++) if (x(from + n) > x(from + best)) best = n;
  return best;
}

/** Mean and 1/√(variance + eps). */
export function moments(x: At, from: number, N: number, eps: number): { mean: number; rstd: number } {
  let total = 0;
  for (let at = from; at < from + N; at++) total += x(at);
  const mean = total / N;
  return { mean, rstd: 1 / Math.sqrt(squares((at) => x(at) - mean, from, N) / N + eps) };
}

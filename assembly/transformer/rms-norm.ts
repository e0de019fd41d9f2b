// Normalisation of the rows of x[M,N] by their root mean square: y = x·rstd ⊙ gamma, rstd = 1/√(mean of x² + eps) (Zhang and
// Sennrich, arXiv 1910.07467). stats[M] keeps rstd of each row for backward. Sums: f32 lanes within blocks, blocks in f64.
import { matrix, vector } from '../checks';
import { hsum, madd } from '../simd';
import { squaredNorm } from '../nn/reduce';

const BLOCK: usize = 4096; // bytes

export function rmsNormForward(M: i32, N: i32, eps: f64, x: usize, ldx: i32, gamma: usize, y: usize, ldy: i32, stats: usize): void {
  if (!ASC_NO_ASSERT) {
    matrix('rmsNormForward: x', x, M, N, ldx);
    vector('rmsNormForward: gamma', gamma, N);
    matrix('rmsNormForward: y', y, M, N, ldy);
    vector('rmsNormForward: stats', stats, M);
  }
  const bytes = (<usize>N) << 2;
  for (let m = 0; m < M; m++, x += (<usize>ldx) << 2, y += (<usize>ldy) << 2, stats += 4) {
    const rstd = <f32>(1 / Math.sqrt(squaredNorm(N, x) / <f64>N + eps));
    store<f32>(stats, rstd);
    const factor = f32x4.splat(rstd);
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) v128.store(y + at, f32x4.mul(f32x4.mul(v128.load(x + at), factor), v128.load(gamma + at)));
    for (; at < bytes; at += 4) store<f32>(y + at, load<f32>(x + at) * rstd * load<f32>(gamma + at));
  }
}

/** Σ dy·gamma·x */
function weightedDot(bytes: usize, x: usize, gamma: usize, dy: usize): f64 {
  let total: f64 = 0;
  let at: usize = 0;
  while (at + 16 <= bytes) {
    const stop = min(bytes, at + BLOCK);
    let a = f32x4.splat(0);
    let b = f32x4.splat(0);
    for (; at + 32 <= stop; at += 32) {
      a = madd(f32x4.mul(v128.load(dy + at), v128.load(gamma + at)), v128.load(x + at), a);
      b = madd(f32x4.mul(v128.load(dy + at, 16), v128.load(gamma + at, 16)), v128.load(x + at, 16), b);
    }
    for (; at + 16 <= stop; at += 16) a = madd(f32x4.mul(v128.load(dy + at), v128.load(gamma + at)), v128.load(x + at), a);
    total += hsum(f32x4.add(a, b));
  }
  for (; at < bytes; at += 4) total += load<f32>(dy + at) * load<f32>(gamma + at) * load<f32>(x + at);
  return total;
}

/** dx (+)= rstd·(g - x̂·mean(g ⊙ x̂)) with g = dy ⊙ gamma and x̂ = x·rstd, row by row. */
export function rmsNormBackward(M: i32, N: i32, x: usize, ldx: i32, gamma: usize, stats: usize, dy: usize, lddy: i32, accumulate: i32, dx: usize, lddx: i32): void {
  if (!ASC_NO_ASSERT) {
    matrix('rmsNormBackward: x', x, M, N, ldx);
    vector('rmsNormBackward: gamma', gamma, N);
    vector('rmsNormBackward: stats', stats, M);
    matrix('rmsNormBackward: dy', dy, M, N, lddy);
    matrix('rmsNormBackward: dx', dx, M, N, lddx);
  }
  const bytes = (<usize>N) << 2;
  for (let m = 0; m < M; m++, x += (<usize>ldx) << 2, dy += (<usize>lddy) << 2, dx += (<usize>lddx) << 2, stats += 4) {
    const rstd = load<f32>(stats);
    const factor = f32x4.splat(rstd);
    const mean = <f32>((weightedDot(bytes, x, gamma, dy) * rstd) / <f64>N);
    const means = f32x4.splat(mean);
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) {
      const g = f32x4.mul(v128.load(dy + at), v128.load(gamma + at));
      const d = f32x4.mul(factor, f32x4.sub(g, f32x4.mul(f32x4.mul(v128.load(x + at), factor), means)));
      v128.store(dx + at, accumulate ? f32x4.add(v128.load(dx + at), d) : d);
    }
    for (; at < bytes; at += 4) {
      const d = rstd * (load<f32>(dy + at) * load<f32>(gamma + at) - load<f32>(x + at) * rstd * mean);
      store<f32>(dx + at, accumulate ? load<f32>(dx + at) + d : d);
    }
  }
}

/** dgamma[N] (+)= Σ over rows dy ⊙ x̂, in the order of the rows. */
export function rmsNormBackwardGamma(M: i32, N: i32, x: usize, ldx: i32, stats: usize, dy: usize, lddy: i32, accumulate: i32, dgamma: usize): void {
  if (!ASC_NO_ASSERT) {
    matrix('rmsNormBackwardGamma: x', x, M, N, ldx);
    vector('rmsNormBackwardGamma: stats', stats, M);
    matrix('rmsNormBackwardGamma: dy', dy, M, N, lddy);
    vector('rmsNormBackwardGamma: dgamma', dgamma, N);
  }
  const bytes = (<usize>N) << 2;
  if (!accumulate) memory.fill(dgamma, 0, bytes);
  for (let m = 0; m < M; m++, x += (<usize>ldx) << 2, dy += (<usize>lddy) << 2, stats += 4) {
    const rstd = load<f32>(stats);
    const factor = f32x4.splat(rstd);
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) {
      const hat = f32x4.mul(v128.load(x + at), factor);
      v128.store(dgamma + at, f32x4.add(v128.load(dgamma + at), f32x4.mul(v128.load(dy + at), hat)));
    }
    for (; at < bytes; at += 4) store<f32>(dgamma + at, load<f32>(dgamma + at) + load<f32>(dy + at) * (load<f32>(x + at) * rstd));
  }
}

// Layer normalisation of the rows of x[M,N]: y = (x - mean)·rstd ⊙ gamma + beta, rstd = 1/√(variance + eps), the variance that of
// PyTorch (divided by N). stats[M,2] keeps mean and rstd of each row for backward. gamma and beta may be absent (0).
import { matrix, optional, vector } from '../checks';
import { hsum, madd } from '../simd';
import { addSquare, sum } from './reduce';

const BLOCK: usize = 4096; // bytes

/** Σ (x - mean)²: four f32 lanes in each of four accumulators over at most 1024 elements, those in f64. */
function centredSquares(n: i32, x: usize, mean: f32): f64 {
  const end = x + ((<usize>n) << 2);
  const centre = f32x4.splat(mean);
  let total: f64 = 0;
  while (x + 16 <= end) {
    const stop = min(end, x + BLOCK);
    let a = f32x4.splat(0);
    let b = f32x4.splat(0);
    let c = f32x4.splat(0);
    let d = f32x4.splat(0);
    for (; x + 64 <= stop; x += 64) {
      a = addSquare(a, f32x4.sub(v128.load(x), centre));
      b = addSquare(b, f32x4.sub(v128.load(x, 16), centre));
      c = addSquare(c, f32x4.sub(v128.load(x, 32), centre));
      d = addSquare(d, f32x4.sub(v128.load(x, 48), centre));
    }
    for (; x + 16 <= stop; x += 16) a = addSquare(a, f32x4.sub(v128.load(x), centre));
    total += hsum(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
  }
  for (; x < end; x += 4) {
    const d = load<f32>(x) - mean;
    total += d * d;
  }
  return total;
}

export function layerNormForward(M: i32, N: i32, eps: f64, x: usize, ldx: i32, gamma: usize, beta: usize, y: usize, ldy: i32, stats: usize): void {
  if (!ASC_NO_ASSERT) {
    matrix('layerNormForward: x', x, M, N, ldx);
    optional('layerNormForward: gamma', gamma, N);
    optional('layerNormForward: beta', beta, N);
    matrix('layerNormForward: y', y, M, N, ldy);
    vector('layerNormForward: stats', stats, 2 * M);
  }
  for (let m = 0; m < M; m++, x += (<usize>ldx) << 2, y += (<usize>ldy) << 2, stats += 8) {
    const mean = <f32>(sum(N, x) / <f64>N);
    const rstd = <f32>(1 / Math.sqrt(centredSquares(N, x, mean) / <f64>N + eps));
    store<f32>(stats, mean);
    store<f32>(stats, rstd, 4);
    if (gamma && beta) normaliseRow(N, x, mean, rstd, true, gamma, beta, y);
    else normaliseRow(N, x, mean, rstd, false, gamma, beta, y);
  }
}

/** y = (x - mean)·rstd ⊙ gamma + beta. `both`, known when compiled, spares the loop its questions. */
// @ts-ignore: decorator
@inline
function normaliseRow(N: i32, x: usize, mean: f32, rstd: f32, both: bool, gamma: usize, beta: usize, y: usize): void {
  const bytes = (<usize>N) << 2;
  const centre = f32x4.splat(mean);
  const factor = f32x4.splat(rstd);
  let at: usize = 0;
  for (; at + 16 <= bytes; at += 16) {
    let v = f32x4.mul(f32x4.sub(v128.load(x + at), centre), factor);
    if (both || gamma) v = f32x4.mul(v, v128.load(gamma + at));
    if (both || beta) v = f32x4.add(v, v128.load(beta + at));
    v128.store(y + at, v);
  }
  for (; at < bytes; at += 4) {
    let v = (load<f32>(x + at) - mean) * rstd;
    if (both || gamma) v *= load<f32>(gamma + at);
    if (both || beta) v += load<f32>(beta + at);
    store<f32>(y + at, v);
  }
}

/** dy ⊙ gamma of four columns from the byte `at` on. */
// @ts-ignore: decorator
@inline
function scaled(dy: usize, gamma: usize, at: usize): v128 {
  return gamma ? f32x4.mul(v128.load(dy), v128.load(gamma + at)) : v128.load(dy);
}

/** dx (+)= rstd·(g - mean(g) - x̂·mean(g ⊙ x̂)) with g = dy ⊙ gamma and x̂ = (x - mean)·rstd, row by row. */
export function layerNormBackward(M: i32, N: i32, x: usize, ldx: i32, gamma: usize, stats: usize, dy: usize, lddy: i32, accumulate: i32, dx: usize, lddx: i32): void {
  if (!ASC_NO_ASSERT) {
    matrix('layerNormBackward: x', x, M, N, ldx);
    optional('layerNormBackward: gamma', gamma, N);
    vector('layerNormBackward: stats', stats, 2 * M);
    matrix('layerNormBackward: dy', dy, M, N, lddy);
    matrix('layerNormBackward: dx', dx, M, N, lddx);
  }
  const bytes = (<usize>N) << 2;
  for (let m = 0; m < M; m++, x += (<usize>ldx) << 2, dy += (<usize>lddy) << 2, dx += (<usize>lddx) << 2, stats += 8) {
    const mean = load<f32>(stats);
    const rstd = load<f32>(stats, 4);
    const centre = f32x4.splat(mean);
    const factor = f32x4.splat(rstd);
    let totalG: f64 = 0;
    let totalGX: f64 = 0;
    let at: usize = 0;
    while (at + 16 <= bytes) {
      const stop = min(bytes, at + BLOCK);
      let a = f32x4.splat(0);
      let b = f32x4.splat(0);
      let c = f32x4.splat(0);
      let d = f32x4.splat(0);
      for (; at + 32 <= stop; at += 32) {
        const first = scaled(dy + at, gamma, at);
        const second = scaled(dy + at + 16, gamma, at + 16);
        a = f32x4.add(a, first);
        b = f32x4.add(b, second);
        c = madd(first, f32x4.sub(v128.load(x + at), centre), c);
        d = madd(second, f32x4.sub(v128.load(x + at, 16), centre), d);
      }
      for (; at + 16 <= stop; at += 16) {
        const g = scaled(dy + at, gamma, at);
        a = f32x4.add(a, g);
        c = madd(g, f32x4.sub(v128.load(x + at), centre), c);
      }
      totalG += hsum(f32x4.add(a, b));
      totalGX += hsum(f32x4.add(c, d));
    }
    for (; at < bytes; at += 4) {
      const g = gamma ? load<f32>(dy + at) * load<f32>(gamma + at) : load<f32>(dy + at);
      totalG += g;
      totalGX += g * (load<f32>(x + at) - mean);
    }
    const meanG = <f32>(totalG / <f64>N);
    const meanGX = <f32>(totalGX * rstd / <f64>N);
    at = 0;
    for (; at + 16 <= bytes; at += 16) {
      const g = scaled(dy + at, gamma, at);
      const hat = f32x4.mul(f32x4.sub(v128.load(x + at), centre), factor);
      const d = f32x4.mul(factor, f32x4.sub(f32x4.sub(g, f32x4.splat(meanG)), f32x4.mul(hat, f32x4.splat(meanGX))));
      v128.store(dx + at, accumulate ? f32x4.add(v128.load(dx + at), d) : d);
    }
    for (; at < bytes; at += 4) {
      const g = gamma ? load<f32>(dy + at) * load<f32>(gamma + at) : load<f32>(dy + at);
      const hat = (load<f32>(x + at) - mean) * rstd;
      const d = rstd * (g - meanG - hat * meanGX);
      store<f32>(dx + at, accumulate ? load<f32>(dx + at) + d : d);
    }
  }
}

/** dgamma[N] (+)= Σ over rows dy ⊙ x̂, in the order of the rows; dbeta is `sumRows`. */
export function layerNormBackwardGamma(M: i32, N: i32, x: usize, ldx: i32, stats: usize, dy: usize, lddy: i32, accumulate: i32, dgamma: usize): void {
  if (!ASC_NO_ASSERT) {
    matrix('layerNormBackwardGamma: x', x, M, N, ldx);
    vector('layerNormBackwardGamma: stats', stats, 2 * M);
    matrix('layerNormBackwardGamma: dy', dy, M, N, lddy);
    vector('layerNormBackwardGamma: dgamma', dgamma, N);
  }
  const bytes = (<usize>N) << 2;
  if (!accumulate) memory.fill(dgamma, 0, bytes);
  for (let m = 0; m < M; m++, x += (<usize>ldx) << 2, dy += (<usize>lddy) << 2, stats += 8) {
    const mean = load<f32>(stats);
    const rstd = load<f32>(stats, 4);
    const centre = f32x4.splat(mean);
    const factor = f32x4.splat(rstd);
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) {
      const hat = f32x4.mul(f32x4.sub(v128.load(x + at), centre), factor);
      v128.store(dgamma + at, f32x4.add(v128.load(dgamma + at), f32x4.mul(v128.load(dy + at), hat)));
    }
    for (; at < bytes; at += 4) {
      const hat = (load<f32>(x + at) - mean) * rstd;
      store<f32>(dgamma + at, load<f32>(dgamma + at) + load<f32>(dy + at) * hat);
    }
  }
}

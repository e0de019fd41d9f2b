// Sums over n contiguous f32: four f32 lanes in each of four accumulators over a block of 1024 elements, blocks added in f64.
// The order depends on n alone.
import { hsum } from '../simd';

const BLOCK: usize = 4096; // bytes

/** Σ x */
export function sum(n: i32, x: usize): f64 {
  const end = x + ((<usize>n) << 2);
  let total: f64 = 0;
  while (x + 16 <= end) {
    const stop = min(end, x + BLOCK);
    let a = f32x4.splat(0);
    let b = f32x4.splat(0);
    let c = f32x4.splat(0);
    let d = f32x4.splat(0);
    for (; x + 64 <= stop; x += 64) {
      a = f32x4.add(a, v128.load(x));
      b = f32x4.add(b, v128.load(x, 16));
      c = f32x4.add(c, v128.load(x, 32));
      d = f32x4.add(d, v128.load(x, 48));
    }
    for (; x + 16 <= stop; x += 16) a = f32x4.add(a, v128.load(x));
    total += hsum(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
  }
  for (; x < end; x += 4) total += load<f32>(x);
  return total;
}

/** Σ x² */
export function squaredNorm(n: i32, x: usize): f64 {
  const end = x + ((<usize>n) << 2);
  let total: f64 = 0;
  while (x + 16 <= end) {
    const stop = min(end, x + BLOCK);
    let a = f32x4.splat(0);
    let b = f32x4.splat(0);
    for (; x + 32 <= stop; x += 32) {
      const p = v128.load(x);
      const q = v128.load(x, 16);
      a = f32x4.add(a, f32x4.mul(p, p));
      b = f32x4.add(b, f32x4.mul(q, q));
    }
    for (; x + 16 <= stop; x += 16) {
      const p = v128.load(x);
      a = f32x4.add(a, f32x4.mul(p, p));
    }
    total += hsum(f32x4.add(a, b));
  }
  for (; x < end; x += 4) {
    const p = load<f32>(x);
    total += p * p;
  }
  return total;
}

/** Σ (a - b)² */
export function squaredDistance(n: i32, a: usize, b: usize): f64 {
  const end = a + ((<usize>n) << 2);
  let total: f64 = 0;
  while (a + 16 <= end) {
    const stop = min(end, a + BLOCK);
    let p = f32x4.splat(0);
    for (; a + 16 <= stop; a += 16, b += 16) {
      const d = f32x4.sub(v128.load(a), v128.load(b));
      p = f32x4.add(p, f32x4.mul(d, d));
    }
    total += hsum(p);
  }
  for (; a < end; a += 4, b += 4) {
    const d = load<f32>(a) - load<f32>(b);
    total += d * d;
  }
  return total;
}

/** 1 when no element is NaN or infinite. */
export function allFinite(n: i32, x: usize): i32 {
  const end = x + ((<usize>n) << 2);
  const infinity = f32x4.splat(Infinity);
  for (; x + 32 <= end; x += 32) {
    const first = f32x4.lt(f32x4.abs(v128.load(x)), infinity);
    const second = f32x4.lt(f32x4.abs(v128.load(x, 16)), infinity);
    if (!i32x4.all_true(v128.and(first, second))) return 0;
  }
  for (; x < end; x += 4) if ((load<u32>(x) & 0x7f800000) === 0x7f800000) return 0;
  return 1;
}

/** out i32[M]: index of the first largest element of each row of x[M,N]; NaN counts as largest. */
export function argmaxRows(M: i32, N: i32, x: usize, ldx: i32, out: usize): void {
  for (let m = 0; m < M; m++) {
    const row = x + (<usize>m * <usize>ldx << 2);
    let best = load<f32>(row);
    let at = 0;
    for (let n = 1; n < N && best === best; n++) {
      const v = load<f32>(row + ((<usize>n) << 2));
      if (v > best || v !== v) {
        best = v;
        at = n;
      }
    }
    store<i32>(out + ((<usize>m) << 2), at);
  }
}

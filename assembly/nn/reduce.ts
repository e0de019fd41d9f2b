// Sums over n contiguous f32: four f32 lanes in each of four accumulators over a block of 1024 elements, blocks added in f64.
// The order depends on n alone.
import { matrix, vector, vectors } from '../checks';
import { hsum, madd } from '../simd';

const BLOCK: usize = 4096; // bytes

/** Σ x */
export function sum(n: i32, x: usize): f64 {
  if (!ASC_NO_ASSERT) vectors('sum: n; x', n, x);
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
  if (!ASC_NO_ASSERT) vectors('squaredNorm: n; x', n, x);
  const end = x + ((<usize>n) << 2);
  let total: f64 = 0;
  while (x + 16 <= end) {
    const stop = min(end, x + BLOCK);
    let a = f32x4.splat(0);
    let b = f32x4.splat(0);
    let c = f32x4.splat(0);
    let d = f32x4.splat(0);
    for (; x + 64 <= stop; x += 64) {
      a = addSquare(a, v128.load(x));
      b = addSquare(b, v128.load(x, 16));
      c = addSquare(c, v128.load(x, 32));
      d = addSquare(d, v128.load(x, 48));
    }
    for (; x + 16 <= stop; x += 16) a = addSquare(a, v128.load(x));
    total += hsum(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
  }
  for (; x < end; x += 4) {
    const p = load<f32>(x);
    total += p * p;
  }
  return total;
}

/** total + v² */
// @ts-ignore: decorator
@inline
export function addSquare(total: v128, v: v128): v128 {
  return madd(v, v, total);
}

/** Σ (a - b)² */
export function squaredDistance(n: i32, a: usize, b: usize): f64 {
  if (!ASC_NO_ASSERT) vectors('squaredDistance: n; a, b', n, a, b);
  const end = a + ((<usize>n) << 2);
  let total: f64 = 0;
  while (a + 16 <= end) {
    const stop = min(end, a + BLOCK);
    let p = f32x4.splat(0);
    let q = f32x4.splat(0);
    let r = f32x4.splat(0);
    let s = f32x4.splat(0);
    for (; a + 64 <= stop; a += 64, b += 64) {
      p = addSquare(p, f32x4.sub(v128.load(a), v128.load(b)));
      q = addSquare(q, f32x4.sub(v128.load(a, 16), v128.load(b, 16)));
      r = addSquare(r, f32x4.sub(v128.load(a, 32), v128.load(b, 32)));
      s = addSquare(s, f32x4.sub(v128.load(a, 48), v128.load(b, 48)));
    }
    for (; a + 16 <= stop; a += 16, b += 16) p = addSquare(p, f32x4.sub(v128.load(a), v128.load(b)));
    total += hsum(f32x4.add(f32x4.add(p, q), f32x4.add(r, s)));
  }
  for (; a < end; a += 4, b += 4) {
    const d = load<f32>(a) - load<f32>(b);
    total += d * d;
  }
  return total;
}

/** 1 when no element is NaN or infinite. */
export function allFinite(n: i32, x: usize): i32 {
  if (!ASC_NO_ASSERT) vectors('allFinite: n; x', n, x);
  const end = x + ((<usize>n) << 2);
  while (x + 16 <= end) {
    const stop = min(end, x + BLOCK);
    // v - v is 0, or NaN where v is not finite; and NaN stays NaN, whatever bits it is joined with.
    let a = i32x4.splat(0);
    let b = i32x4.splat(0);
    for (; x + 64 <= stop; x += 64) {
      a = v128.or(a, v128.or(zeroOrNaN(v128.load(x)), zeroOrNaN(v128.load(x, 16))));
      b = v128.or(b, v128.or(zeroOrNaN(v128.load(x, 32)), zeroOrNaN(v128.load(x, 48))));
    }
    for (; x + 16 <= stop; x += 16) a = v128.or(a, zeroOrNaN(v128.load(x)));
    if (v128.any_true(v128.or(a, b))) return 0;
  }
  for (; x < end; x += 4) if ((load<u32>(x) & 0x7f800000) === 0x7f800000) return 0;
  return 1;
}

// @ts-ignore: decorator
@inline
function zeroOrNaN(v: v128): v128 {
  return f32x4.sub(v, v);
}

/** out i32[M]: index of the first largest element of each row of x[M,N]; NaN counts as largest. */
export function argmaxRows(M: i32, N: i32, x: usize, ldx: i32, out: usize): void {
  if (!ASC_NO_ASSERT) {
    matrix('argmaxRows: x', x, M, N, ldx);
    vector('argmaxRows: out', out, M);
  }
  for (let m = 0; m < M; m++, x += (<usize>ldx) << 2, out += 4) store<i32>(out, argmax(N, x));
}

/** The largest element first, then its place: two passes without a branch, the second over a row that is still in the cache. */
function argmax(N: i32, x: usize): i32 {
  const end = x + ((<usize>N) << 2);
  let at = x;
  let best = load<f32>(x);
  let unordered = i32x4.splat(0);
  if (N >= 4) {
    let a = v128.load(x);
    let b = a;
    for (; at + 32 <= end; at += 32) {
      const first = v128.load(at);
      const second = v128.load(at, 16);
      a = f32x4.pmax(a, first);
      b = f32x4.pmax(b, second);
      // x - x is NaN for infinity as well: compared instead.
      unordered = v128.or(unordered, v128.or(f32x4.ne(first, first), f32x4.ne(second, second)));
    }
    a = f32x4.pmax(a, b);
    a = f32x4.pmax(a, v128.shuffle<f32>(a, a, 2, 3, 0, 1));
    best = max<f32>(f32x4.extract_lane(a, 0), f32x4.extract_lane(a, 1));
  }
  let nan = v128.any_true(unordered) || best !== best;
  for (; at < end; at += 4) {
    const v = load<f32>(at);
    nan = nan || v !== v;
    if (v > best) best = v;
  }
  return nan ? firstNaN(x) : firstEqual(N, x, best);
}

function firstNaN(x: usize): i32 {
  let n = 0;
  for (let v = load<f32>(x); v === v; v = load<f32>(x + ((<usize>n) << 2))) n++;
  return n;
}

function firstEqual(N: i32, x: usize, value: f32): i32 {
  const wanted = f32x4.splat(value);
  let n = 0;
  for (; n + 4 <= N; n += 4) {
    const same = f32x4.eq(v128.load(x + ((<usize>n) << 2)), wanted);
    if (v128.any_true(same)) return n + ctz(i32x4.bitmask(same));
  }
  while (load<f32>(x + ((<usize>n) << 2)) !== value) n++;
  return n;
}

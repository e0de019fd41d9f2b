// Products with few rows of c: b is read once, row by row as it lies, and c stays in the cache. No packing, no scratch, and row
// lengths at which neighbouring rows collide in the cache do no harm. Each element is one chain of `madd`, by D alone in the same
// order whatever the tile. A pass takes four rows of b to two rows of c: V8 spills with more (bench/variants).
import { madd } from '../simd';
import { expand, F32 } from '../weights';

/** Depth up to which a sum is short: b is then small and read again for other rows of c. */
const SHORT: i32 = 16;
/** Elements of c that a short sum works on at a time. */
const ELEMENTS: i32 = 1 << 12;

/**
 * c[I,J] (+)= Σ_d s·a(i,d)·b[d,j] for d < D. Strides in bytes: a by aRow along i and aDeep along d. With D of 0, c is cleared
 * unless it accumulates.
 */
export function streamProduct(I: i32, J: i32, D: i32, s: f32, a: usize, aRow: usize, aDeep: usize, b: usize, ldb: usize, accumulate: i32, c: usize, ldc: usize): void {
  streamWeight(I, J, D, s, a, aRow, aDeep, F32, b, ldb, 0, accumulate, c, ldc, 0);
}

/** Bytes of scratch for a stream of rows of J elements of this type. */
export function streamScratch(type: i32, J: i32): usize {
  return type === F32 ? 0 : (<usize>J) << 4;
}

/** The same where b is a weight of any type from column `from` on: the rows of a pass are expanded into `strip`. */
export function streamWeight(I: i32, J: i32, D: i32, s: f32, a: usize, aRow: usize, aDeep: usize, type: i32, b: usize, ldb: usize, from: i32, accumulate: i32, c: usize, ldc: usize, strip: usize): void {
  if (D === 0) {
    if (accumulate === 0) for (let i: usize = 0; i < <usize>I; i++) memory.fill(c + i * ldc, 0, (<usize>J) << 2);
    return;
  }
  // A short sum takes some rows of c to their end before it begins the next: they stay in the first-level cache between passes.
  const most = D > SHORT ? I : max(2, (ELEMENTS / max(J, 1)) & ~1);
  for (let i = 0; i < I; i += most) {
    someRows(min(most, I - i), J, D, s, a + <usize>i * aRow, aRow, aDeep, type, b, ldb, from, accumulate, c + <usize>i * ldc, ldc, strip);
  }
}

function someRows(I: i32, J: i32, D: i32, s: f32, a: usize, aRow: usize, aDeep: usize, type: i32, b: usize, ldb: usize, from: i32, accumulate: i32, c: usize, ldc: usize, strip: usize): void {
  const quarter = D >> 2;
  // Rows of b a quarter of the depth apart: each is then one long stream from pass to pass, which the processor fetches ahead.
  const aFar = <usize>quarter * aDeep;
  const bFar = <usize>quarter * ldb;
  let d = 0;
  for (; d < quarter; d++) {
    const ad = a + <usize>d * aDeep;
    pass(4, d > 0 ? 1 : accumulate, I, J, s, ad, aRow, aFar, type, b + <usize>d * ldb, bFar, from, c, ldc, strip);
  }
  for (d *= 4; d < D; ) {
    const depth = D - d >= 2 ? 2 : 1;
    pass(depth, d > 0 ? 1 : accumulate, I, J, s, a + <usize>d * aDeep, aRow, aDeep, type, b + <usize>d * ldb, ldb, from, c, ldc, strip);
    d += depth;
  }
}

/** One pass over rows of b as they lie, or as they are expanded. */
function pass(depth: i32, add: i32, I: i32, J: i32, s: f32, a: usize, aRow: usize, aDeep: usize, type: i32, b: usize, ldb: usize, from: i32, c: usize, ldc: usize, strip: usize): void {
  if (type === F32) {
    rows(depth, add, I, J, s, a, aRow, aDeep, b + ((<usize>from) << 2), ldb, c, ldc);
    return;
  }
  const step = (<usize>J) << 2;
  expand(type, depth, J, b, ldb, from, strip, step);
  rows(depth, add, I, J, s, a, aRow, aDeep, strip, step, c, ldc);
}

/** One pass: all rows of c take `depth` rows of b, 4, 2 or 1. */
function rows(depth: i32, add: i32, I: i32, J: i32, s: f32, a: usize, aRow: usize, aDeep: usize, b: usize, ldb: usize, c: usize, ldc: usize): void {
  if (J & 3) lastColumns(depth, add, I, J, s, a, aRow, aDeep, b, ldb, c, ldc);
  for (; I >= 2; I -= 2, a += 2 * aRow, c += 2 * ldc) {
    if (depth === 4) twoByFour(add, J, s, a, aRow, aDeep, b, ldb, c, ldc);
    else if (depth === 2) twoByTwo(add, J, s, a, aRow, aDeep, b, ldb, c, ldc);
    else twoByOne(add, J, s, a, aRow, aDeep, b, ldb, c, ldc);
  }
  if (I === 0) return;
  if (depth === 4) oneByFour(add, J, s, a, aRow, aDeep, b, ldb, c, ldc);
  else if (depth === 2) oneByTwo(add, J, s, a, aRow, aDeep, b, ldb, c, ldc);
  else oneByOne(add, J, s, a, aRow, aDeep, b, ldb, c, ldc);
}

/** The last J % 4 columns of a pass, in the first lane of a vector: the same operations as in the tiles. */
function lastColumns(depth: i32, add: i32, I: i32, J: i32, s: f32, a: usize, aRow: usize, aDeep: usize, b: usize, ldb: usize, c: usize, ldc: usize): void {
  for (; I > 0; I--, a += aRow, c += ldc) {
    for (let j = <usize>(J & ~3); j < <usize>J; j++) {
      const at = c + (j << 2);
      let t = add ? v128.load32_zero(at) : f32x4.splat(0);
      for (let d: usize = 0; d < <usize>depth; d++) t = madd(splatScaled(s, a + d * aDeep), v128.load32_zero(b + d * ldb + (j << 2)), t);
      store<f32>(at, f32x4.extract_lane(t, 0));
    }
  }
}

// @ts-ignore: decorator
@inline
function splatScaled(s: f32, a: usize): v128 {
  return f32x4.splat(s * load<f32>(a));
}

// @ts-ignore: decorator
@inline
function twoByFourLoop(add: bool, J: i32, s: f32, a: usize, aRow: usize, aDeep: usize, b: usize, ldb: usize, c: usize, ldc: usize): void {
  const s00 = splatScaled(s, a);
  const s01 = splatScaled(s, a + aDeep);
  const s02 = splatScaled(s, a + 2 * aDeep);
  const s03 = splatScaled(s, a + 3 * aDeep);
  const s10 = splatScaled(s, a + aRow);
  const s11 = splatScaled(s, a + aRow + aDeep);
  const s12 = splatScaled(s, a + aRow + 2 * aDeep);
  const s13 = splatScaled(s, a + aRow + 3 * aDeep);
  let b1 = b + ldb;
  let b2 = b + 2 * ldb;
  let b3 = b + 3 * ldb;
  let c1 = c + ldc;
  for (const end = c + ((<usize>(J & ~3)) << 2); c < end; b += 16, b1 += 16, b2 += 16, b3 += 16, c += 16, c1 += 16) {
    let v = v128.load(b);
    let t0 = madd(s00, v, add ? v128.load(c) : f32x4.splat(0));
    let t1 = madd(s10, v, add ? v128.load(c1) : f32x4.splat(0));
    v = v128.load(b1);
    t0 = madd(s01, v, t0);
    t1 = madd(s11, v, t1);
    v = v128.load(b2);
    t0 = madd(s02, v, t0);
    t1 = madd(s12, v, t1);
    v = v128.load(b3);
    t0 = madd(s03, v, t0);
    t1 = madd(s13, v, t1);
    v128.store(c, t0);
    v128.store(c1, t1);
  }
}

function twoByFour(add: i32, J: i32, s: f32, a: usize, aRow: usize, aDeep: usize, b: usize, ldb: usize, c: usize, ldc: usize): void {
  if (add) twoByFourLoop(true, J, s, a, aRow, aDeep, b, ldb, c, ldc);
  else twoByFourLoop(false, J, s, a, aRow, aDeep, b, ldb, c, ldc);
}

// @ts-ignore: decorator
@inline
function twoByTwoLoop(add: bool, J: i32, s: f32, a: usize, aRow: usize, aDeep: usize, b: usize, ldb: usize, c: usize, ldc: usize): void {
  const s00 = splatScaled(s, a);
  const s01 = splatScaled(s, a + aDeep);
  const s10 = splatScaled(s, a + aRow);
  const s11 = splatScaled(s, a + aRow + aDeep);
  let b1 = b + ldb;
  let c1 = c + ldc;
  for (const end = c + ((<usize>(J & ~3)) << 2); c < end; b += 16, b1 += 16, c += 16, c1 += 16) {
    let v = v128.load(b);
    let t0 = madd(s00, v, add ? v128.load(c) : f32x4.splat(0));
    let t1 = madd(s10, v, add ? v128.load(c1) : f32x4.splat(0));
    v = v128.load(b1);
    t0 = madd(s01, v, t0);
    t1 = madd(s11, v, t1);
    v128.store(c, t0);
    v128.store(c1, t1);
  }
}

function twoByTwo(add: i32, J: i32, s: f32, a: usize, aRow: usize, aDeep: usize, b: usize, ldb: usize, c: usize, ldc: usize): void {
  if (add) twoByTwoLoop(true, J, s, a, aRow, aDeep, b, ldb, c, ldc);
  else twoByTwoLoop(false, J, s, a, aRow, aDeep, b, ldb, c, ldc);
}

// @ts-ignore: decorator
@inline
function twoByOneLoop(add: bool, J: i32, s: f32, a: usize, aRow: usize, aDeep: usize, b: usize, ldb: usize, c: usize, ldc: usize): void {
  const s00 = splatScaled(s, a);
  const s10 = splatScaled(s, a + aRow);
  let c1 = c + ldc;
  for (const end = c + ((<usize>(J & ~3)) << 2); c < end; b += 16, c += 16, c1 += 16) {
    const v = v128.load(b);
    const t0 = madd(s00, v, add ? v128.load(c) : f32x4.splat(0));
    const t1 = madd(s10, v, add ? v128.load(c1) : f32x4.splat(0));
    v128.store(c, t0);
    v128.store(c1, t1);
  }
}

function twoByOne(add: i32, J: i32, s: f32, a: usize, aRow: usize, aDeep: usize, b: usize, ldb: usize, c: usize, ldc: usize): void {
  if (add) twoByOneLoop(true, J, s, a, aRow, aDeep, b, ldb, c, ldc);
  else twoByOneLoop(false, J, s, a, aRow, aDeep, b, ldb, c, ldc);
}

// @ts-ignore: decorator
@inline
function oneByFourLoop(add: bool, J: i32, s: f32, a: usize, aRow: usize, aDeep: usize, b: usize, ldb: usize, c: usize, ldc: usize): void {
  const s00 = splatScaled(s, a);
  const s01 = splatScaled(s, a + aDeep);
  const s02 = splatScaled(s, a + 2 * aDeep);
  const s03 = splatScaled(s, a + 3 * aDeep);
  let b1 = b + ldb;
  let b2 = b + 2 * ldb;
  let b3 = b + 3 * ldb;
  for (const end = c + ((<usize>(J & ~3)) << 2); c < end; b += 16, b1 += 16, b2 += 16, b3 += 16, c += 16) {
    let v = v128.load(b);
    let t0 = madd(s00, v, add ? v128.load(c) : f32x4.splat(0));
    v = v128.load(b1);
    t0 = madd(s01, v, t0);
    v = v128.load(b2);
    t0 = madd(s02, v, t0);
    v = v128.load(b3);
    t0 = madd(s03, v, t0);
    v128.store(c, t0);
  }
}

function oneByFour(add: i32, J: i32, s: f32, a: usize, aRow: usize, aDeep: usize, b: usize, ldb: usize, c: usize, ldc: usize): void {
  if (add) oneByFourLoop(true, J, s, a, aRow, aDeep, b, ldb, c, ldc);
  else oneByFourLoop(false, J, s, a, aRow, aDeep, b, ldb, c, ldc);
}

// @ts-ignore: decorator
@inline
function oneByTwoLoop(add: bool, J: i32, s: f32, a: usize, aRow: usize, aDeep: usize, b: usize, ldb: usize, c: usize, ldc: usize): void {
  const s00 = splatScaled(s, a);
  const s01 = splatScaled(s, a + aDeep);
  let b1 = b + ldb;
  for (const end = c + ((<usize>(J & ~3)) << 2); c < end; b += 16, b1 += 16, c += 16) {
    let v = v128.load(b);
    let t0 = madd(s00, v, add ? v128.load(c) : f32x4.splat(0));
    v = v128.load(b1);
    t0 = madd(s01, v, t0);
    v128.store(c, t0);
  }
}

function oneByTwo(add: i32, J: i32, s: f32, a: usize, aRow: usize, aDeep: usize, b: usize, ldb: usize, c: usize, ldc: usize): void {
  if (add) oneByTwoLoop(true, J, s, a, aRow, aDeep, b, ldb, c, ldc);
  else oneByTwoLoop(false, J, s, a, aRow, aDeep, b, ldb, c, ldc);
}

// @ts-ignore: decorator
@inline
function oneByOneLoop(add: bool, J: i32, s: f32, a: usize, aRow: usize, aDeep: usize, b: usize, ldb: usize, c: usize, ldc: usize): void {
  const s00 = splatScaled(s, a);
  for (const end = c + ((<usize>(J & ~3)) << 2); c < end; b += 16, c += 16) {
    const v = v128.load(b);
    const t0 = madd(s00, v, add ? v128.load(c) : f32x4.splat(0));
    v128.store(c, t0);
  }
}

function oneByOne(add: i32, J: i32, s: f32, a: usize, aRow: usize, aDeep: usize, b: usize, ldb: usize, c: usize, ldc: usize): void {
  if (add) oneByOneLoop(true, J, s, a, aRow, aDeep, b, ldb, c, ldc);
  else oneByOneLoop(false, J, s, a, aRow, aDeep, b, ldb, c, ldc);
}

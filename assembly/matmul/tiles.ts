// The inner tiles of the packed products: MR rows of C by eight columns, accumulators in registers, one step of depth at a time.
// A is packed, MR values a step; B is a packed panel (bStep 32) or rows of the matrix as it lies (bStep its row stride).
// Every element is summed in order of depth by `madd`, whatever the tile: bits do not depend on how rows are cut.
// Each tile ends in two ways, written apart: with a choice at every row V8 spills accumulators in the loop above.
import { madd } from '../simd';

// @ts-ignore: decorator
@inline
function put(c: usize, lo: v128, hi: v128): void {
  v128.store(c, lo);
  v128.store(c, hi, 16);
}

// @ts-ignore: decorator
@inline
function addTo(c: usize, lo: v128, hi: v128): void {
  v128.store(c, f32x4.add(v128.load(c), lo));
  v128.store(c, f32x4.add(v128.load(c, 16), hi), 16);
}

/** C[1,8] (+)= A·B over `depth` steps: a holds 1 value a step, b eight floats every `bStep` bytes. */
function tile1x8(depth: i32, a: usize, b: usize, bStep: usize, accumulate: i32, c: usize, ldc: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  for (const end = a + (<usize>depth) * 4; a < end; a += 4, b += bStep) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let s = v128.load32_splat(a);
    c00 = madd(s, b0, c00);
    c01 = madd(s, b1, c01);
  }
  if (accumulate) {
    addTo(c, c00, c01);
  } else {
    put(c, c00, c01);
  }
}

/** C[2,8] (+)= A·B over `depth` steps: a holds 2 values a step, b eight floats every `bStep` bytes. */
function tile2x8(depth: i32, a: usize, b: usize, bStep: usize, accumulate: i32, c: usize, ldc: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c11 = f32x4.splat(0);
  for (const end = a + (<usize>depth) * 8; a < end; a += 8, b += bStep) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let s = v128.load32_splat(a);
    c00 = madd(s, b0, c00);
    c01 = madd(s, b1, c01);
    s = v128.load32_splat(a, 4);
    c10 = madd(s, b0, c10);
    c11 = madd(s, b1, c11);
  }
  if (accumulate) {
    addTo(c, c00, c01);
    addTo(c + ldc, c10, c11);
  } else {
    put(c, c00, c01);
    put(c + ldc, c10, c11);
  }
}

/** C[3,8] (+)= A·B over `depth` steps: a holds 3 values a step, b eight floats every `bStep` bytes. */
function tile3x8(depth: i32, a: usize, b: usize, bStep: usize, accumulate: i32, c: usize, ldc: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0);
  let c21 = f32x4.splat(0);
  for (const end = a + (<usize>depth) * 12; a < end; a += 12, b += bStep) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let s = v128.load32_splat(a);
    c00 = madd(s, b0, c00);
    c01 = madd(s, b1, c01);
    s = v128.load32_splat(a, 4);
    c10 = madd(s, b0, c10);
    c11 = madd(s, b1, c11);
    s = v128.load32_splat(a, 8);
    c20 = madd(s, b0, c20);
    c21 = madd(s, b1, c21);
  }
  if (accumulate) {
    addTo(c, c00, c01);
    addTo(c + ldc, c10, c11);
    addTo(c + 2 * ldc, c20, c21);
  } else {
    put(c, c00, c01);
    put(c + ldc, c10, c11);
    put(c + 2 * ldc, c20, c21);
  }
}

/** C[4,8] (+)= A·B over `depth` steps: a holds 4 values a step, b eight floats every `bStep` bytes. */
function tile4x8(depth: i32, a: usize, b: usize, bStep: usize, accumulate: i32, c: usize, ldc: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0);
  let c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0);
  let c31 = f32x4.splat(0);
  for (const end = a + (<usize>depth) * 16; a < end; a += 16, b += bStep) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let s = v128.load32_splat(a);
    c00 = madd(s, b0, c00);
    c01 = madd(s, b1, c01);
    s = v128.load32_splat(a, 4);
    c10 = madd(s, b0, c10);
    c11 = madd(s, b1, c11);
    s = v128.load32_splat(a, 8);
    c20 = madd(s, b0, c20);
    c21 = madd(s, b1, c21);
    s = v128.load32_splat(a, 12);
    c30 = madd(s, b0, c30);
    c31 = madd(s, b1, c31);
  }
  if (accumulate) {
    addTo(c, c00, c01);
    addTo(c + ldc, c10, c11);
    addTo(c + 2 * ldc, c20, c21);
    addTo(c + 3 * ldc, c30, c31);
  } else {
    put(c, c00, c01);
    put(c + ldc, c10, c11);
    put(c + 2 * ldc, c20, c21);
    put(c + 3 * ldc, c30, c31);
  }
}

/** C[5,8] (+)= A·B over `depth` steps: a holds 5 values a step, b eight floats every `bStep` bytes. */
function tile5x8(depth: i32, a: usize, b: usize, bStep: usize, accumulate: i32, c: usize, ldc: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0);
  let c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0);
  let c31 = f32x4.splat(0);
  let c40 = f32x4.splat(0);
  let c41 = f32x4.splat(0);
  for (const end = a + (<usize>depth) * 20; a < end; a += 20, b += bStep) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let s = v128.load32_splat(a);
    c00 = madd(s, b0, c00);
    c01 = madd(s, b1, c01);
    s = v128.load32_splat(a, 4);
    c10 = madd(s, b0, c10);
    c11 = madd(s, b1, c11);
    s = v128.load32_splat(a, 8);
    c20 = madd(s, b0, c20);
    c21 = madd(s, b1, c21);
    s = v128.load32_splat(a, 12);
    c30 = madd(s, b0, c30);
    c31 = madd(s, b1, c31);
    s = v128.load32_splat(a, 16);
    c40 = madd(s, b0, c40);
    c41 = madd(s, b1, c41);
  }
  if (accumulate) {
    addTo(c, c00, c01);
    addTo(c + ldc, c10, c11);
    addTo(c + 2 * ldc, c20, c21);
    addTo(c + 3 * ldc, c30, c31);
    addTo(c + 4 * ldc, c40, c41);
  } else {
    put(c, c00, c01);
    put(c + ldc, c10, c11);
    put(c + 2 * ldc, c20, c21);
    put(c + 3 * ldc, c30, c31);
    put(c + 4 * ldc, c40, c41);
  }
}

/** C[6,8] (+)= A·B over `depth` steps: a holds 6 values a step, b eight floats every `bStep` bytes. */
function tile6x8(depth: i32, a: usize, b: usize, bStep: usize, accumulate: i32, c: usize, ldc: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0);
  let c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0);
  let c31 = f32x4.splat(0);
  let c40 = f32x4.splat(0);
  let c41 = f32x4.splat(0);
  let c50 = f32x4.splat(0);
  let c51 = f32x4.splat(0);
  for (const end = a + (<usize>depth) * 24; a < end; a += 24, b += bStep) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let s = v128.load32_splat(a);
    c00 = madd(s, b0, c00);
    c01 = madd(s, b1, c01);
    s = v128.load32_splat(a, 4);
    c10 = madd(s, b0, c10);
    c11 = madd(s, b1, c11);
    s = v128.load32_splat(a, 8);
    c20 = madd(s, b0, c20);
    c21 = madd(s, b1, c21);
    s = v128.load32_splat(a, 12);
    c30 = madd(s, b0, c30);
    c31 = madd(s, b1, c31);
    s = v128.load32_splat(a, 16);
    c40 = madd(s, b0, c40);
    c41 = madd(s, b1, c41);
    s = v128.load32_splat(a, 20);
    c50 = madd(s, b0, c50);
    c51 = madd(s, b1, c51);
  }
  if (accumulate) {
    addTo(c, c00, c01);
    addTo(c + ldc, c10, c11);
    addTo(c + 2 * ldc, c20, c21);
    addTo(c + 3 * ldc, c30, c31);
    addTo(c + 4 * ldc, c40, c41);
    addTo(c + 5 * ldc, c50, c51);
  } else {
    put(c, c00, c01);
    put(c + ldc, c10, c11);
    put(c + 2 * ldc, c20, c21);
    put(c + 3 * ldc, c30, c31);
    put(c + 4 * ldc, c40, c41);
    put(c + 5 * ldc, c50, c51);
  }
}

/** Calls the tile of MR rows, 1 to 6. ldc in bytes. */
export function tile(MR: i32, depth: i32, a: usize, b: usize, bStep: usize, accumulate: i32, c: usize, ldc: usize): void {
  if (MR === 6) tile6x8(depth, a, b, bStep, accumulate, c, ldc);
  else if (MR === 5) tile5x8(depth, a, b, bStep, accumulate, c, ldc);
  else if (MR === 4) tile4x8(depth, a, b, bStep, accumulate, c, ldc);
  else if (MR === 3) tile3x8(depth, a, b, bStep, accumulate, c, ldc);
  else if (MR === 2) tile2x8(depth, a, b, bStep, accumulate, c, ldc);
  else tile1x8(depth, a, b, bStep, accumulate, c, ldc);
}

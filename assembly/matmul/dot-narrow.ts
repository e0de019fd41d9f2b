// The dot tiles of two and three columns, for the edges of the wide ones and for the skinny products: the order of summation and
// the arguments are those of dot-tiles.ts. The narrower, the higher: enough sums run at once to hide a multiply-add's latency.
import { hsum, madd } from '../simd';
import { tail } from './dot-tiles';

/** 3 rows of x by 3 rows of w, and the same rows of h by b. */
export function dot3x3(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize, cy: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c02 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c11 = f32x4.splat(0);
  let c12 = f32x4.splat(0);
  let c20 = f32x4.splat(0);
  let c21 = f32x4.splat(0);
  let c22 = f32x4.splat(0);
  let x0 = x;
  let x1 = x + ldx;
  let x2 = x + 2 * ldx;
  let w0 = w;
  let w1 = w + ldw;
  let w2 = w + 2 * ldw;
  let steps = K & ~3;
  for (let part = 0; part < 2; part++) {
    for (const end = x0 + ((<usize>steps) << 2); x0 < end; x0 += 16, x1 += 16, x2 += 16, w0 += 16, w1 += 16, w2 += 16) {
      const v0 = v128.load(x0);
      const v1 = v128.load(x1);
      const v2 = v128.load(x2);
      let u = v128.load(w0);
      c00 = madd(v0, u, c00);
      c10 = madd(v1, u, c10);
      c20 = madd(v2, u, c20);
      u = v128.load(w1);
      c01 = madd(v0, u, c01);
      c11 = madd(v1, u, c11);
      c21 = madd(v2, u, c21);
      u = v128.load(w2);
      c02 = madd(v0, u, c02);
      c12 = madd(v1, u, c12);
      c22 = madd(v2, u, c22);
    }
    if (R < 4) break;
    x0 = h;
    x1 = h + ldh;
    x2 = h + 2 * ldh;
    w0 = b;
    w1 = b + ldb;
    w2 = b + 2 * ldb;
    steps = R & ~3;
  }
  store<f32>(y, hsum(c00));
  store<f32>(y + cy, hsum(c01));
  store<f32>(y + 2 * cy, hsum(c02));
  store<f32>(y + ldy, hsum(c10));
  store<f32>(y + ldy + cy, hsum(c11));
  store<f32>(y + ldy + 2 * cy, hsum(c12));
  store<f32>(y + 2 * ldy, hsum(c20));
  store<f32>(y + 2 * ldy + cy, hsum(c21));
  store<f32>(y + 2 * ldy + 2 * cy, hsum(c22));
  if ((K | R) & 3) tail(3, 3, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy, cy);
}

/** 1 row of x by 3 rows of w, and the same rows of h by b. */
export function dot1x3(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize, cy: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c02 = f32x4.splat(0);
  let x0 = x;
  let w0 = w;
  let w1 = w + ldw;
  let w2 = w + 2 * ldw;
  let steps = K & ~3;
  for (let part = 0; part < 2; part++) {
    for (const end = x0 + ((<usize>steps) << 2); x0 < end; x0 += 16, w0 += 16, w1 += 16, w2 += 16) {
      const v0 = v128.load(x0);
      let u = v128.load(w0);
      c00 = madd(v0, u, c00);
      u = v128.load(w1);
      c01 = madd(v0, u, c01);
      u = v128.load(w2);
      c02 = madd(v0, u, c02);
    }
    if (R < 4) break;
    x0 = h;
    w0 = b;
    w1 = b + ldb;
    w2 = b + 2 * ldb;
    steps = R & ~3;
  }
  store<f32>(y, hsum(c00));
  store<f32>(y + cy, hsum(c01));
  store<f32>(y + 2 * cy, hsum(c02));
  if ((K | R) & 3) tail(1, 3, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy, cy);
}

/** 4 rows of x by 2 rows of w, and the same rows of h by b. */
export function dot4x2(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize, cy: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0);
  let c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0);
  let c31 = f32x4.splat(0);
  let x0 = x;
  let x1 = x + ldx;
  let x2 = x + 2 * ldx;
  let x3 = x + 3 * ldx;
  let w0 = w;
  let w1 = w + ldw;
  let steps = K & ~3;
  for (let part = 0; part < 2; part++) {
    for (const end = x0 + ((<usize>steps) << 2); x0 < end; x0 += 16, x1 += 16, x2 += 16, x3 += 16, w0 += 16, w1 += 16) {
      const v0 = v128.load(w0);
      const v1 = v128.load(w1);
      let u = v128.load(x0);
      c00 = madd(u, v0, c00);
      c01 = madd(u, v1, c01);
      u = v128.load(x1);
      c10 = madd(u, v0, c10);
      c11 = madd(u, v1, c11);
      u = v128.load(x2);
      c20 = madd(u, v0, c20);
      c21 = madd(u, v1, c21);
      u = v128.load(x3);
      c30 = madd(u, v0, c30);
      c31 = madd(u, v1, c31);
    }
    if (R < 4) break;
    x0 = h;
    x1 = h + ldh;
    x2 = h + 2 * ldh;
    x3 = h + 3 * ldh;
    w0 = b;
    w1 = b + ldb;
    steps = R & ~3;
  }
  store<f32>(y, hsum(c00));
  store<f32>(y + cy, hsum(c01));
  store<f32>(y + ldy, hsum(c10));
  store<f32>(y + ldy + cy, hsum(c11));
  store<f32>(y + 2 * ldy, hsum(c20));
  store<f32>(y + 2 * ldy + cy, hsum(c21));
  store<f32>(y + 3 * ldy, hsum(c30));
  store<f32>(y + 3 * ldy + cy, hsum(c31));
  if ((K | R) & 3) tail(4, 2, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy, cy);
}

/** 2 rows of x by 2 rows of w, and the same rows of h by b. */
export function dot2x2(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize, cy: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c11 = f32x4.splat(0);
  let x0 = x;
  let x1 = x + ldx;
  let w0 = w;
  let w1 = w + ldw;
  let steps = K & ~3;
  for (let part = 0; part < 2; part++) {
    for (const end = x0 + ((<usize>steps) << 2); x0 < end; x0 += 16, x1 += 16, w0 += 16, w1 += 16) {
      const v0 = v128.load(w0);
      const v1 = v128.load(w1);
      let u = v128.load(x0);
      c00 = madd(u, v0, c00);
      c01 = madd(u, v1, c01);
      u = v128.load(x1);
      c10 = madd(u, v0, c10);
      c11 = madd(u, v1, c11);
    }
    if (R < 4) break;
    x0 = h;
    x1 = h + ldh;
    w0 = b;
    w1 = b + ldb;
    steps = R & ~3;
  }
  store<f32>(y, hsum(c00));
  store<f32>(y + cy, hsum(c01));
  store<f32>(y + ldy, hsum(c10));
  store<f32>(y + ldy + cy, hsum(c11));
  if ((K | R) & 3) tail(2, 2, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy, cy);
}

/** 1 row of x by 2 rows of w, and the same rows of h by b. */
export function dot1x2(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize, cy: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let x0 = x;
  let w0 = w;
  let w1 = w + ldw;
  let steps = K & ~3;
  for (let part = 0; part < 2; part++) {
    for (const end = x0 + ((<usize>steps) << 2); x0 < end; x0 += 16, w0 += 16, w1 += 16) {
      const v0 = v128.load(x0);
      let u = v128.load(w0);
      c00 = madd(v0, u, c00);
      u = v128.load(w1);
      c01 = madd(v0, u, c01);
    }
    if (R < 4) break;
    x0 = h;
    w0 = b;
    w1 = b + ldb;
    steps = R & ~3;
  }
  store<f32>(y, hsum(c00));
  store<f32>(y + cy, hsum(c01));
  if ((K | R) & 3) tail(1, 2, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy, cy);
}

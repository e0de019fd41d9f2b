// The dot tiles of one column: up to eight rows of x meet the same row of w, so that enough sums run at once to hide a
// multiply-add's latency. The order of summation and the arguments are those of dot-tiles.ts.
import { hsum, madd } from '../simd';
import { tail } from './dot-tiles';

/** 8 rows of x by 1 row of w, and the same rows of h by b. */
export function dot8x1(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize, cy: usize): void {
  let c00 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c20 = f32x4.splat(0);
  let c30 = f32x4.splat(0);
  let c40 = f32x4.splat(0);
  let c50 = f32x4.splat(0);
  let c60 = f32x4.splat(0);
  let c70 = f32x4.splat(0);
  let x0 = x;
  let x1 = x + ldx;
  let x2 = x + 2 * ldx;
  let x3 = x + 3 * ldx;
  let x4 = x + 4 * ldx;
  let x5 = x + 5 * ldx;
  let x6 = x + 6 * ldx;
  let x7 = x + 7 * ldx;
  let w0 = w;
  let steps = K & ~3;
  for (let part = 0; part < 2; part++) {
    for (const end = x0 + ((<usize>steps) << 2); x0 < end; x0 += 16, x1 += 16, x2 += 16, x3 += 16, x4 += 16, x5 += 16, x6 += 16, x7 += 16, w0 += 16) {
      const v0 = v128.load(w0);
      let u = v128.load(x0);
      c00 = madd(u, v0, c00);
      u = v128.load(x1);
      c10 = madd(u, v0, c10);
      u = v128.load(x2);
      c20 = madd(u, v0, c20);
      u = v128.load(x3);
      c30 = madd(u, v0, c30);
      u = v128.load(x4);
      c40 = madd(u, v0, c40);
      u = v128.load(x5);
      c50 = madd(u, v0, c50);
      u = v128.load(x6);
      c60 = madd(u, v0, c60);
      u = v128.load(x7);
      c70 = madd(u, v0, c70);
    }
    if (R < 4) break;
    x0 = h;
    x1 = h + ldh;
    x2 = h + 2 * ldh;
    x3 = h + 3 * ldh;
    x4 = h + 4 * ldh;
    x5 = h + 5 * ldh;
    x6 = h + 6 * ldh;
    x7 = h + 7 * ldh;
    w0 = b;
    steps = R & ~3;
  }
  store<f32>(y, hsum(c00));
  store<f32>(y + ldy, hsum(c10));
  store<f32>(y + 2 * ldy, hsum(c20));
  store<f32>(y + 3 * ldy, hsum(c30));
  store<f32>(y + 4 * ldy, hsum(c40));
  store<f32>(y + 5 * ldy, hsum(c50));
  store<f32>(y + 6 * ldy, hsum(c60));
  store<f32>(y + 7 * ldy, hsum(c70));
  if ((K | R) & 3) tail(8, 1, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy, cy);
}

/** 6 rows of x by 1 row of w, and the same rows of h by b. */
export function dot6x1(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize, cy: usize): void {
  let c00 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c20 = f32x4.splat(0);
  let c30 = f32x4.splat(0);
  let c40 = f32x4.splat(0);
  let c50 = f32x4.splat(0);
  let x0 = x;
  let x1 = x + ldx;
  let x2 = x + 2 * ldx;
  let x3 = x + 3 * ldx;
  let x4 = x + 4 * ldx;
  let x5 = x + 5 * ldx;
  let w0 = w;
  let steps = K & ~3;
  for (let part = 0; part < 2; part++) {
    for (const end = x0 + ((<usize>steps) << 2); x0 < end; x0 += 16, x1 += 16, x2 += 16, x3 += 16, x4 += 16, x5 += 16, w0 += 16) {
      const v0 = v128.load(w0);
      let u = v128.load(x0);
      c00 = madd(u, v0, c00);
      u = v128.load(x1);
      c10 = madd(u, v0, c10);
      u = v128.load(x2);
      c20 = madd(u, v0, c20);
      u = v128.load(x3);
      c30 = madd(u, v0, c30);
      u = v128.load(x4);
      c40 = madd(u, v0, c40);
      u = v128.load(x5);
      c50 = madd(u, v0, c50);
    }
    if (R < 4) break;
    x0 = h;
    x1 = h + ldh;
    x2 = h + 2 * ldh;
    x3 = h + 3 * ldh;
    x4 = h + 4 * ldh;
    x5 = h + 5 * ldh;
    w0 = b;
    steps = R & ~3;
  }
  store<f32>(y, hsum(c00));
  store<f32>(y + ldy, hsum(c10));
  store<f32>(y + 2 * ldy, hsum(c20));
  store<f32>(y + 3 * ldy, hsum(c30));
  store<f32>(y + 4 * ldy, hsum(c40));
  store<f32>(y + 5 * ldy, hsum(c50));
  if ((K | R) & 3) tail(6, 1, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy, cy);
}

/** 2 rows of x by 1 row of w, and the same rows of h by b. */
export function dot2x1(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize, cy: usize): void {
  let c00 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let x0 = x;
  let x1 = x + ldx;
  let w0 = w;
  let steps = K & ~3;
  for (let part = 0; part < 2; part++) {
    for (const end = x0 + ((<usize>steps) << 2); x0 < end; x0 += 16, x1 += 16, w0 += 16) {
      const v0 = v128.load(w0);
      let u = v128.load(x0);
      c00 = madd(u, v0, c00);
      u = v128.load(x1);
      c10 = madd(u, v0, c10);
    }
    if (R < 4) break;
    x0 = h;
    x1 = h + ldh;
    w0 = b;
    steps = R & ~3;
  }
  store<f32>(y, hsum(c00));
  store<f32>(y + ldy, hsum(c10));
  if ((K | R) & 3) tail(2, 1, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy, cy);
}

/** 1 row of x by 1 row of w, and the same rows of h by b. */
export function dot1x1(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize, cy: usize): void {
  let c00 = f32x4.splat(0);
  let x0 = x;
  let w0 = w;
  let steps = K & ~3;
  for (let part = 0; part < 2; part++) {
    for (const end = x0 + ((<usize>steps) << 2); x0 < end; x0 += 16, w0 += 16) {
      const v0 = v128.load(x0);
      const u = v128.load(w0);
      c00 = madd(v0, u, c00);
    }
    if (R < 4) break;
    x0 = h;
    w0 = b;
    steps = R & ~3;
  }
  store<f32>(y, hsum(c00));
  if ((K | R) & 3) tail(1, 1, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy, cy);
}

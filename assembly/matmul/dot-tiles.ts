// The inner tiles of the unpacked product: MR rows of x by NR rows of w, every accumulator in a register. Four partial sums a
// lane, over K and then over R, then the lanes (hsum), then the K % 4 and R % 4 last terms one by one: the same order in every
// tile, so bits do not depend on where an element lies. 2x6 fills V8's registers; the others are its edges. Tiles
// of two and three columns are in dot-narrow.ts, of one in dot-column.ts.
// Each tile runs one loop twice, over K and then over R. Strides in bytes; cy is that between columns of y, as ldw and ldb are
// between the rows of w and b that belong to them.
import { hsum, madd } from '../simd';

/** Adds the last K % 4 and R % 4 terms to a tile. */
export function tail(MR: i32, NR: i32, K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize, cy: usize): void {
  for (let i: usize = 0; i < <usize>MR; i++) {
    for (let j: usize = 0; j < <usize>NR; j++) {
      let s = load<f32>(y + i * ldy + j * cy);
      for (let k = K & ~3; k < K; k++) s += load<f32>(x + i * ldx + ((<usize>k) << 2)) * load<f32>(w + j * ldw + ((<usize>k) << 2));
      for (let r = R & ~3; r < R; r++) s += load<f32>(h + i * ldh + ((<usize>r) << 2)) * load<f32>(b + j * ldb + ((<usize>r) << 2));
      store<f32>(y + i * ldy + j * cy, s);
    }
  }
}

/** 2 rows of x by 6 rows of w, and the same rows of h by b. */
export function dot2x6(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize, cy: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c02 = f32x4.splat(0);
  let c03 = f32x4.splat(0);
  let c04 = f32x4.splat(0);
  let c05 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c11 = f32x4.splat(0);
  let c12 = f32x4.splat(0);
  let c13 = f32x4.splat(0);
  let c14 = f32x4.splat(0);
  let c15 = f32x4.splat(0);
  let x0 = x;
  let x1 = x + ldx;
  let w0 = w;
  let w1 = w + ldw;
  let w2 = w + 2 * ldw;
  let w3 = w + 3 * ldw;
  let w4 = w + 4 * ldw;
  let w5 = w + 5 * ldw;
  let steps = K & ~3;
  for (let part = 0; part < 2; part++) {
    for (const end = x0 + ((<usize>steps) << 2); x0 < end; x0 += 16, x1 += 16, w0 += 16, w1 += 16, w2 += 16, w3 += 16, w4 += 16, w5 += 16) {
      const v0 = v128.load(x0);
      const v1 = v128.load(x1);
      let u = v128.load(w0);
      c00 = madd(v0, u, c00);
      c10 = madd(v1, u, c10);
      u = v128.load(w1);
      c01 = madd(v0, u, c01);
      c11 = madd(v1, u, c11);
      u = v128.load(w2);
      c02 = madd(v0, u, c02);
      c12 = madd(v1, u, c12);
      u = v128.load(w3);
      c03 = madd(v0, u, c03);
      c13 = madd(v1, u, c13);
      u = v128.load(w4);
      c04 = madd(v0, u, c04);
      c14 = madd(v1, u, c14);
      u = v128.load(w5);
      c05 = madd(v0, u, c05);
      c15 = madd(v1, u, c15);
    }
    if (R < 4) break;
    x0 = h;
    x1 = h + ldh;
    w0 = b;
    w1 = b + ldb;
    w2 = b + 2 * ldb;
    w3 = b + 3 * ldb;
    w4 = b + 4 * ldb;
    w5 = b + 5 * ldb;
    steps = R & ~3;
  }
  store<f32>(y, hsum(c00));
  store<f32>(y + cy, hsum(c01));
  store<f32>(y + 2 * cy, hsum(c02));
  store<f32>(y + 3 * cy, hsum(c03));
  store<f32>(y + 4 * cy, hsum(c04));
  store<f32>(y + 5 * cy, hsum(c05));
  store<f32>(y + ldy, hsum(c10));
  store<f32>(y + ldy + cy, hsum(c11));
  store<f32>(y + ldy + 2 * cy, hsum(c12));
  store<f32>(y + ldy + 3 * cy, hsum(c13));
  store<f32>(y + ldy + 4 * cy, hsum(c14));
  store<f32>(y + ldy + 5 * cy, hsum(c15));
  if ((K | R) & 3) tail(2, 6, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy, cy);
}

/** 2 rows of x by 4 rows of w, and the same rows of h by b. */
export function dot2x4(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize, cy: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c02 = f32x4.splat(0);
  let c03 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c11 = f32x4.splat(0);
  let c12 = f32x4.splat(0);
  let c13 = f32x4.splat(0);
  let x0 = x;
  let x1 = x + ldx;
  let w0 = w;
  let w1 = w + ldw;
  let w2 = w + 2 * ldw;
  let w3 = w + 3 * ldw;
  let steps = K & ~3;
  for (let part = 0; part < 2; part++) {
    for (const end = x0 + ((<usize>steps) << 2); x0 < end; x0 += 16, x1 += 16, w0 += 16, w1 += 16, w2 += 16, w3 += 16) {
      const v0 = v128.load(x0);
      const v1 = v128.load(x1);
      let u = v128.load(w0);
      c00 = madd(v0, u, c00);
      c10 = madd(v1, u, c10);
      u = v128.load(w1);
      c01 = madd(v0, u, c01);
      c11 = madd(v1, u, c11);
      u = v128.load(w2);
      c02 = madd(v0, u, c02);
      c12 = madd(v1, u, c12);
      u = v128.load(w3);
      c03 = madd(v0, u, c03);
      c13 = madd(v1, u, c13);
    }
    if (R < 4) break;
    x0 = h;
    x1 = h + ldh;
    w0 = b;
    w1 = b + ldb;
    w2 = b + 2 * ldb;
    w3 = b + 3 * ldb;
    steps = R & ~3;
  }
  store<f32>(y, hsum(c00));
  store<f32>(y + cy, hsum(c01));
  store<f32>(y + 2 * cy, hsum(c02));
  store<f32>(y + 3 * cy, hsum(c03));
  store<f32>(y + ldy, hsum(c10));
  store<f32>(y + ldy + cy, hsum(c11));
  store<f32>(y + ldy + 2 * cy, hsum(c12));
  store<f32>(y + ldy + 3 * cy, hsum(c13));
  if ((K | R) & 3) tail(2, 4, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy, cy);
}

/** 1 row of x by 6 rows of w, and the same rows of h by b. */
export function dot1x6(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize, cy: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c02 = f32x4.splat(0);
  let c03 = f32x4.splat(0);
  let c04 = f32x4.splat(0);
  let c05 = f32x4.splat(0);
  let x0 = x;
  let w0 = w;
  let w1 = w + ldw;
  let w2 = w + 2 * ldw;
  let w3 = w + 3 * ldw;
  let w4 = w + 4 * ldw;
  let w5 = w + 5 * ldw;
  let steps = K & ~3;
  for (let part = 0; part < 2; part++) {
    for (const end = x0 + ((<usize>steps) << 2); x0 < end; x0 += 16, w0 += 16, w1 += 16, w2 += 16, w3 += 16, w4 += 16, w5 += 16) {
      const v0 = v128.load(x0);
      let u = v128.load(w0);
      c00 = madd(v0, u, c00);
      u = v128.load(w1);
      c01 = madd(v0, u, c01);
      u = v128.load(w2);
      c02 = madd(v0, u, c02);
      u = v128.load(w3);
      c03 = madd(v0, u, c03);
      u = v128.load(w4);
      c04 = madd(v0, u, c04);
      u = v128.load(w5);
      c05 = madd(v0, u, c05);
    }
    if (R < 4) break;
    x0 = h;
    w0 = b;
    w1 = b + ldb;
    w2 = b + 2 * ldb;
    w3 = b + 3 * ldb;
    w4 = b + 4 * ldb;
    w5 = b + 5 * ldb;
    steps = R & ~3;
  }
  store<f32>(y, hsum(c00));
  store<f32>(y + cy, hsum(c01));
  store<f32>(y + 2 * cy, hsum(c02));
  store<f32>(y + 3 * cy, hsum(c03));
  store<f32>(y + 4 * cy, hsum(c04));
  store<f32>(y + 5 * cy, hsum(c05));
  if ((K | R) & 3) tail(1, 6, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy, cy);
}

/** 1 row of x by 4 rows of w, and the same rows of h by b. */
export function dot1x4(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize, cy: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c02 = f32x4.splat(0);
  let c03 = f32x4.splat(0);
  let x0 = x;
  let w0 = w;
  let w1 = w + ldw;
  let w2 = w + 2 * ldw;
  let w3 = w + 3 * ldw;
  let steps = K & ~3;
  for (let part = 0; part < 2; part++) {
    for (const end = x0 + ((<usize>steps) << 2); x0 < end; x0 += 16, w0 += 16, w1 += 16, w2 += 16, w3 += 16) {
      const v0 = v128.load(x0);
      let u = v128.load(w0);
      c00 = madd(v0, u, c00);
      u = v128.load(w1);
      c01 = madd(v0, u, c01);
      u = v128.load(w2);
      c02 = madd(v0, u, c02);
      u = v128.load(w3);
      c03 = madd(v0, u, c03);
    }
    if (R < 4) break;
    x0 = h;
    w0 = b;
    w1 = b + ldb;
    w2 = b + 2 * ldb;
    w3 = b + 3 * ldb;
    steps = R & ~3;
  }
  store<f32>(y, hsum(c00));
  store<f32>(y + cy, hsum(c01));
  store<f32>(y + 2 * cy, hsum(c02));
  store<f32>(y + 3 * cy, hsum(c03));
  if ((K | R) & 3) tail(1, 4, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy, cy);
}

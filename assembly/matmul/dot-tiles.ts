// The inner tiles of the unpacked product: MR rows of x by NR rows of w, every accumulator in a register. Four partial sums a
// lane, over K and then over R, then the lanes (hsum), then the K % 4 and R % 4 last terms one by one: the same order in every
// tile, so bits do not depend on where an element lies. 2x6 fills V8's sixteen registers; the others are its edges.
import { hsum, madd } from '../simd';

/** Adds the last K % 4 and R % 4 terms to a tile. */
function tail(MR: i32, NR: i32, K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize): void {
  for (let i: usize = 0; i < <usize>MR; i++) {
    for (let j: usize = 0; j < <usize>NR; j++) {
      let s = load<f32>(y + i * ldy + (j << 2));
      for (let k = K & ~3; k < K; k++) s += load<f32>(x + i * ldx + ((<usize>k) << 2)) * load<f32>(w + j * ldw + ((<usize>k) << 2));
      for (let r = R & ~3; r < R; r++) s += load<f32>(h + i * ldh + ((<usize>r) << 2)) * load<f32>(b + j * ldb + ((<usize>r) << 2));
      store<f32>(y + i * ldy + (j << 2), s);
    }
  }
}

/** 2 rows of x by 6 rows of w, and the same rows of h by b. Strides in bytes. */
export function dot2x6(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize): void {
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
  let x1 = x + 1 * ldx;
  let w0 = w;
  let w1 = w + 1 * ldw;
  let w2 = w + 2 * ldw;
  let w3 = w + 3 * ldw;
  let w4 = w + 4 * ldw;
  let w5 = w + 5 * ldw;
  for (const end = x0 + ((<usize>(K & ~3)) << 2); x0 < end; x0 += 16, x1 += 16, w0 += 16, w1 += 16, w2 += 16, w3 += 16, w4 += 16, w5 += 16) {
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
  if (R >= 4) {
    let h0 = h;
    let h1 = h + 1 * ldh;
    let b0 = b;
    let b1 = b + 1 * ldb;
    let b2 = b + 2 * ldb;
    let b3 = b + 3 * ldb;
    let b4 = b + 4 * ldb;
    let b5 = b + 5 * ldb;
    for (const end = h0 + ((<usize>(R & ~3)) << 2); h0 < end; h0 += 16, h1 += 16, b0 += 16, b1 += 16, b2 += 16, b3 += 16, b4 += 16, b5 += 16) {
      const v0 = v128.load(h0);
      const v1 = v128.load(h1);
      let u = v128.load(b0);
      c00 = madd(v0, u, c00);
      c10 = madd(v1, u, c10);
      u = v128.load(b1);
      c01 = madd(v0, u, c01);
      c11 = madd(v1, u, c11);
      u = v128.load(b2);
      c02 = madd(v0, u, c02);
      c12 = madd(v1, u, c12);
      u = v128.load(b3);
      c03 = madd(v0, u, c03);
      c13 = madd(v1, u, c13);
      u = v128.load(b4);
      c04 = madd(v0, u, c04);
      c14 = madd(v1, u, c14);
      u = v128.load(b5);
      c05 = madd(v0, u, c05);
      c15 = madd(v1, u, c15);
    }
  }
  store<f32>(y, hsum(c00), 0);
  store<f32>(y, hsum(c01), 4);
  store<f32>(y, hsum(c02), 8);
  store<f32>(y, hsum(c03), 12);
  store<f32>(y, hsum(c04), 16);
  store<f32>(y, hsum(c05), 20);
  store<f32>(y + 1 * ldy, hsum(c10), 0);
  store<f32>(y + 1 * ldy, hsum(c11), 4);
  store<f32>(y + 1 * ldy, hsum(c12), 8);
  store<f32>(y + 1 * ldy, hsum(c13), 12);
  store<f32>(y + 1 * ldy, hsum(c14), 16);
  store<f32>(y + 1 * ldy, hsum(c15), 20);
  if ((K | R) & 3) tail(2, 6, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy);
}

/** 2 rows of x by 4 rows of w, and the same rows of h by b. Strides in bytes. */
export function dot2x4(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c02 = f32x4.splat(0);
  let c03 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c11 = f32x4.splat(0);
  let c12 = f32x4.splat(0);
  let c13 = f32x4.splat(0);
  let x0 = x;
  let x1 = x + 1 * ldx;
  let w0 = w;
  let w1 = w + 1 * ldw;
  let w2 = w + 2 * ldw;
  let w3 = w + 3 * ldw;
  for (const end = x0 + ((<usize>(K & ~3)) << 2); x0 < end; x0 += 16, x1 += 16, w0 += 16, w1 += 16, w2 += 16, w3 += 16) {
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
  if (R >= 4) {
    let h0 = h;
    let h1 = h + 1 * ldh;
    let b0 = b;
    let b1 = b + 1 * ldb;
    let b2 = b + 2 * ldb;
    let b3 = b + 3 * ldb;
    for (const end = h0 + ((<usize>(R & ~3)) << 2); h0 < end; h0 += 16, h1 += 16, b0 += 16, b1 += 16, b2 += 16, b3 += 16) {
      const v0 = v128.load(h0);
      const v1 = v128.load(h1);
      let u = v128.load(b0);
      c00 = madd(v0, u, c00);
      c10 = madd(v1, u, c10);
      u = v128.load(b1);
      c01 = madd(v0, u, c01);
      c11 = madd(v1, u, c11);
      u = v128.load(b2);
      c02 = madd(v0, u, c02);
      c12 = madd(v1, u, c12);
      u = v128.load(b3);
      c03 = madd(v0, u, c03);
      c13 = madd(v1, u, c13);
    }
  }
  store<f32>(y, hsum(c00), 0);
  store<f32>(y, hsum(c01), 4);
  store<f32>(y, hsum(c02), 8);
  store<f32>(y, hsum(c03), 12);
  store<f32>(y + 1 * ldy, hsum(c10), 0);
  store<f32>(y + 1 * ldy, hsum(c11), 4);
  store<f32>(y + 1 * ldy, hsum(c12), 8);
  store<f32>(y + 1 * ldy, hsum(c13), 12);
  if ((K | R) & 3) tail(2, 4, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy);
}

/** 2 rows of x by 1 rows of w, and the same rows of h by b. Strides in bytes. */
export function dot2x1(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize): void {
  let c00 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let x0 = x;
  let x1 = x + 1 * ldx;
  let w0 = w;
  for (const end = x0 + ((<usize>(K & ~3)) << 2); x0 < end; x0 += 16, x1 += 16, w0 += 16) {
    const v0 = v128.load(x0);
    const v1 = v128.load(x1);
    let u = v128.load(w0);
    c00 = madd(v0, u, c00);
    c10 = madd(v1, u, c10);
  }
  if (R >= 4) {
    let h0 = h;
    let h1 = h + 1 * ldh;
    let b0 = b;
    for (const end = h0 + ((<usize>(R & ~3)) << 2); h0 < end; h0 += 16, h1 += 16, b0 += 16) {
      const v0 = v128.load(h0);
      const v1 = v128.load(h1);
      let u = v128.load(b0);
      c00 = madd(v0, u, c00);
      c10 = madd(v1, u, c10);
    }
  }
  store<f32>(y, hsum(c00), 0);
  store<f32>(y + 1 * ldy, hsum(c10), 0);
  if ((K | R) & 3) tail(2, 1, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy);
}

/** 4 rows of x by 1 rows of w, and the same rows of h by b. Strides in bytes. */
export function dot4x1(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize): void {
  let c00 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c20 = f32x4.splat(0);
  let c30 = f32x4.splat(0);
  let x0 = x;
  let x1 = x + 1 * ldx;
  let x2 = x + 2 * ldx;
  let x3 = x + 3 * ldx;
  let w0 = w;
  for (const end = x0 + ((<usize>(K & ~3)) << 2); x0 < end; x0 += 16, x1 += 16, x2 += 16, x3 += 16, w0 += 16) {
    const v0 = v128.load(x0);
    const v1 = v128.load(x1);
    const v2 = v128.load(x2);
    const v3 = v128.load(x3);
    let u = v128.load(w0);
    c00 = madd(v0, u, c00);
    c10 = madd(v1, u, c10);
    c20 = madd(v2, u, c20);
    c30 = madd(v3, u, c30);
  }
  if (R >= 4) {
    let h0 = h;
    let h1 = h + 1 * ldh;
    let h2 = h + 2 * ldh;
    let h3 = h + 3 * ldh;
    let b0 = b;
    for (const end = h0 + ((<usize>(R & ~3)) << 2); h0 < end; h0 += 16, h1 += 16, h2 += 16, h3 += 16, b0 += 16) {
      const v0 = v128.load(h0);
      const v1 = v128.load(h1);
      const v2 = v128.load(h2);
      const v3 = v128.load(h3);
      let u = v128.load(b0);
      c00 = madd(v0, u, c00);
      c10 = madd(v1, u, c10);
      c20 = madd(v2, u, c20);
      c30 = madd(v3, u, c30);
    }
  }
  store<f32>(y, hsum(c00), 0);
  store<f32>(y + 1 * ldy, hsum(c10), 0);
  store<f32>(y + 2 * ldy, hsum(c20), 0);
  store<f32>(y + 3 * ldy, hsum(c30), 0);
  if ((K | R) & 3) tail(4, 1, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy);
}

/** 1 rows of x by 6 rows of w, and the same rows of h by b. Strides in bytes. */
export function dot1x6(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c02 = f32x4.splat(0);
  let c03 = f32x4.splat(0);
  let c04 = f32x4.splat(0);
  let c05 = f32x4.splat(0);
  let x0 = x;
  let w0 = w;
  let w1 = w + 1 * ldw;
  let w2 = w + 2 * ldw;
  let w3 = w + 3 * ldw;
  let w4 = w + 4 * ldw;
  let w5 = w + 5 * ldw;
  for (const end = x0 + ((<usize>(K & ~3)) << 2); x0 < end; x0 += 16, w0 += 16, w1 += 16, w2 += 16, w3 += 16, w4 += 16, w5 += 16) {
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
  if (R >= 4) {
    let h0 = h;
    let b0 = b;
    let b1 = b + 1 * ldb;
    let b2 = b + 2 * ldb;
    let b3 = b + 3 * ldb;
    let b4 = b + 4 * ldb;
    let b5 = b + 5 * ldb;
    for (const end = h0 + ((<usize>(R & ~3)) << 2); h0 < end; h0 += 16, b0 += 16, b1 += 16, b2 += 16, b3 += 16, b4 += 16, b5 += 16) {
      const v0 = v128.load(h0);
      let u = v128.load(b0);
      c00 = madd(v0, u, c00);
      u = v128.load(b1);
      c01 = madd(v0, u, c01);
      u = v128.load(b2);
      c02 = madd(v0, u, c02);
      u = v128.load(b3);
      c03 = madd(v0, u, c03);
      u = v128.load(b4);
      c04 = madd(v0, u, c04);
      u = v128.load(b5);
      c05 = madd(v0, u, c05);
    }
  }
  store<f32>(y, hsum(c00), 0);
  store<f32>(y, hsum(c01), 4);
  store<f32>(y, hsum(c02), 8);
  store<f32>(y, hsum(c03), 12);
  store<f32>(y, hsum(c04), 16);
  store<f32>(y, hsum(c05), 20);
  if ((K | R) & 3) tail(1, 6, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy);
}

/** 1 rows of x by 4 rows of w, and the same rows of h by b. Strides in bytes. */
export function dot1x4(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c02 = f32x4.splat(0);
  let c03 = f32x4.splat(0);
  let x0 = x;
  let w0 = w;
  let w1 = w + 1 * ldw;
  let w2 = w + 2 * ldw;
  let w3 = w + 3 * ldw;
  for (const end = x0 + ((<usize>(K & ~3)) << 2); x0 < end; x0 += 16, w0 += 16, w1 += 16, w2 += 16, w3 += 16) {
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
  if (R >= 4) {
    let h0 = h;
    let b0 = b;
    let b1 = b + 1 * ldb;
    let b2 = b + 2 * ldb;
    let b3 = b + 3 * ldb;
    for (const end = h0 + ((<usize>(R & ~3)) << 2); h0 < end; h0 += 16, b0 += 16, b1 += 16, b2 += 16, b3 += 16) {
      const v0 = v128.load(h0);
      let u = v128.load(b0);
      c00 = madd(v0, u, c00);
      u = v128.load(b1);
      c01 = madd(v0, u, c01);
      u = v128.load(b2);
      c02 = madd(v0, u, c02);
      u = v128.load(b3);
      c03 = madd(v0, u, c03);
    }
  }
  store<f32>(y, hsum(c00), 0);
  store<f32>(y, hsum(c01), 4);
  store<f32>(y, hsum(c02), 8);
  store<f32>(y, hsum(c03), 12);
  if ((K | R) & 3) tail(1, 4, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy);
}

/** 1 rows of x by 1 rows of w, and the same rows of h by b. Strides in bytes. */
export function dot1x1(K: i32, R: i32, x: usize, ldx: usize, w: usize, ldw: usize, h: usize, ldh: usize, b: usize, ldb: usize, y: usize, ldy: usize): void {
  let c00 = f32x4.splat(0);
  let x0 = x;
  let w0 = w;
  for (const end = x0 + ((<usize>(K & ~3)) << 2); x0 < end; x0 += 16, w0 += 16) {
    const v0 = v128.load(x0);
    let u = v128.load(w0);
    c00 = madd(v0, u, c00);
  }
  if (R >= 4) {
    let h0 = h;
    let b0 = b;
    for (const end = h0 + ((<usize>(R & ~3)) << 2); h0 < end; h0 += 16, b0 += 16) {
      const v0 = v128.load(h0);
      let u = v128.load(b0);
      c00 = madd(v0, u, c00);
    }
  }
  store<f32>(y, hsum(c00), 0);
  if ((K | R) & 3) tail(1, 1, K, R, x, ldx, w, ldw, h, ldh, b, ldb, y, ldy);
}

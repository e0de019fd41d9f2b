// The three products of a linear layer, row-major f32 but for the weight, which has a type (weights.ts). `path` comes from
// src/engine/plan.ts: its low four bits are the tile's rows MR (packed) or columns NR (dot), the next four say how: dot, packed,
// packed with W in place, streamed, or direct: blocks read as they lie. At the same path but the last a weight of any type gives the bits of the product over its expansion.
import { matrix, optional, scratchOf, sizes, vector } from '../checks';
import { isBlocks, Q4_1 } from '../blocks/types';
import { FUSED } from '../simd';
import { checkType, checkWeight, expand, F32 } from '../weights';
import { directProduct, directScratch } from './direct';
import { dotProduct } from './dot';
import { B_COPIED, B_IN_PLACE, B_TRANSPOSED, packedProduct, packedScratch } from './packed';
import { streamProduct, streamScratch, streamWeight } from './stream';

/** Elements of x that one pass over W works on: they stay in the second-level cache. */
const DOT_ELEMENTS: i32 = 1 << 18;
/** Rows of a weight that are expanded at a time for the dot tiles, at most, and their elements, which stay near the first-level cache. */
const STRIP_ROWS: i32 = 24;
const STRIP_ELEMENTS: i32 = 1 << 14;
/** Columns of the widest dot tile that stays in registers (bench/variants). */
const WIDEST: i32 = FUSED ? 6 : 4;

const DOT: i32 = 0;
const IN_PLACE: i32 = 2;
const STREAM: i32 = 3;
const DIRECT: i32 = 4;

/** Bytes of scratch of a product on this path over a weight of this type with rows of K elements; for `linearBackwardWeight` the type is f32. */
export function productScratch(path: i32, type: i32, K: i32): usize {
  if (!ASC_NO_ASSERT) {
    sizes('productScratch: K', K);
    known('productScratch', path, type);
  }
  if (path >> 4 === STREAM) return streamScratch(type, K);
  if (path >> 4 === DIRECT) return directScratch(type, K);
  if (path >> 4 === DOT) return type === F32 ? 0 : ((<usize>stripRows(K)) * K) << 2;
  return packedScratch(type);
}

/** A path of src/engine/plan.ts and a type of a weight. */
function known(where: string, path: i32, type: i32): void {
  if (path >>> 4 > DIRECT) abort('a path is one of plan.ts', where, path, (DIRECT << 4) + 15);
  checkType(where, type);
  if (path >>> 4 === DIRECT && !isBlocks(type)) abort('a type that is read as it lies', where, type, Q4_1);
}

/** Whole tiles, one at least. */
// @ts-ignore: decorator
@inline
function stripRows(K: i32): i32 {
  const fitting = min(STRIP_ELEMENTS / max(K, 1), STRIP_ROWS);
  return max(fitting - (fitting % WIDEST), WIDEST);
}

/**
 * y[M,N] = colScale ⊙ (x[M,K]·Wᵀ + h[M,R]·Bᵀ) + bias, W [N,K] of `type` with rows of wStep bytes, B [N,R]; h, b, colScale and bias
 * may be 0. The low-rank term goes on where the sum over K ends. Scratch as `productScratch` says.
 */
export function linearForward(path: i32, M: i32, N: i32, K: i32, R: i32, x: usize, ldx: i32, type: i32, w: usize, wStep: i32, h: usize, ldh: i32, b: usize, ldb: i32, colScale: usize, bias: usize, y: usize, ldy: i32, scratch: usize): void {
  if (!ASC_NO_ASSERT) {
    known('linearForward', path, type);
    matrix('linearForward: x', x, M, K, ldx);
    checkWeight('linearForward: w', type, w, N, K, wStep);
    matrix('linearForward: h', h, M, R, ldh);
    matrix('linearForward: b', b, N, R, ldb);
    optional('linearForward: colScale', colScale, N);
    optional('linearForward: bias', bias, N);
    matrix('linearForward: y', y, M, N, ldy);
    scratchOf('linearForward: scratch', scratch, productScratch(path, type, K));
  }
  const width = path & 15;
  const step = <usize>wStep;
  if (path >> 4 === DIRECT) {
    if (R > 0) dotRows(WIDEST, M, N, R, 0, h, ldh, b, ldb, 0, 0, 0, 0, y, ldy);
    directProduct(type, M, N, K, x, (<usize>ldx) << 2, w, step, R, y, (<usize>ldy) << 2, scratch);
  } else if (path >> 4 !== DOT) {
    packedProduct(width, 0, B_TRANSPOSED, M, N, K, R, x, (<usize>ldx) << 2, type, w, step, 0, h, (<usize>ldh) << 2, b, (<usize>ldb) << 2, 0, y, (<usize>ldy) << 2, scratch);
  } else if (type === F32) {
    dotRows(width, M, N, K, R, x, ldx, w, wStep >> 2, h, ldh, b, ldb, y, ldy);
  } else {
    const strip = stripRows(K);
    for (let n = 0; n < N; n += strip) {
      const rows = min(strip, N - n);
      expand(type, rows, K, w + <usize>n * step, step, 0, scratch, (<usize>K) << 2);
      dotRows(width, M, rows, K, R, x, ldx, scratch, K, h, ldh, b + ((<usize>n * ldb) << 2), ldb, y + ((<usize>n) << 2), ldy);
    }
  }
  if (colScale !== 0 || bias !== 0) finish(M, N, colScale, bias, y, ldy);
}

/** The dot tiles over some of x's rows at a time. */
function dotRows(width: i32, M: i32, N: i32, K: i32, R: i32, x: usize, ldx: i32, w: usize, ldw: i32, h: usize, ldh: i32, b: usize, ldb: i32, y: usize, ldy: i32): void {
  const rows = max(2, (DOT_ELEMENTS / max(K, 1)) & ~1);
  for (let m = 0; m < M; m += rows) {
    const at = <usize>m << 2;
    dotProduct(width, min(rows, M - m), N, K, R, x + at * ldx, ldx, w, ldw, h + at * ldh, ldh, b, ldb, y + at * ldy, ldy);
  }
}

/** dx[M,K] (+)= dy[M,N]·W[N, from:from+K] + u[M,R]·a[R,K], W of `type` with rows of wStep bytes. */
export function linearBackwardInput(path: i32, M: i32, N: i32, K: i32, R: i32, dy: usize, lddy: i32, type: i32, w: usize, wStep: i32, from: i32, u: usize, ldu: i32, a: usize, lda: i32, accumulate: i32, dx: usize, lddx: i32, scratch: usize): void {
  if (!ASC_NO_ASSERT) {
    known('linearBackwardInput', path, type);
    sizes('linearBackwardInput: from', from);
    matrix('linearBackwardInput: dy', dy, M, N, lddy);
    checkWeight('linearBackwardInput: w', type, w, N, from + K, wStep);
    matrix('linearBackwardInput: u', u, M, R, ldu);
    matrix('linearBackwardInput: a', a, R, K, lda);
    matrix('linearBackwardInput: dx', dx, M, K, lddx);
    scratchOf('linearBackwardInput: scratch', scratch, productScratch(path, type, K));
  }
  if (path >> 4 === STREAM) {
    streamWeight(M, K, N, 1, dy, (<usize>lddy) << 2, 4, type, w, <usize>wStep, from, accumulate, dx, (<usize>lddx) << 2, scratch);
    if (R > 0) streamProduct(M, K, R, 1, u, (<usize>ldu) << 2, 4, a, (<usize>lda) << 2, 1, dx, (<usize>lddx) << 2);
    return;
  }
  const width = path & 15;
  const kind = path >> 4 === IN_PLACE ? B_IN_PLACE : B_COPIED;
  packedProduct(width, 0, kind, M, K, N, R, dy, (<usize>lddy) << 2, type, w, <usize>wStep, from, u, (<usize>ldu) << 2, a, (<usize>lda) << 2, accumulate, dx, (<usize>lddx) << 2, scratch);
}

/** dw[N,K] (+)= dyᵀ·x over M rows. */
export function linearBackwardWeight(path: i32, M: i32, N: i32, K: i32, dy: usize, lddy: i32, x: usize, ldx: i32, accumulate: i32, dw: usize, lddw: i32, scratch: usize): void {
  if (!ASC_NO_ASSERT) {
    known('linearBackwardWeight', path, F32);
    matrix('linearBackwardWeight: dy', dy, M, N, lddy);
    matrix('linearBackwardWeight: x', x, M, K, ldx);
    matrix('linearBackwardWeight: dw', dw, N, K, lddw);
    scratchOf('linearBackwardWeight: scratch', scratch, productScratch(path, F32, K));
  }
  if (path >> 4 === STREAM) {
    streamProduct(N, K, M, 1, dy, 4, (<usize>lddy) << 2, x, (<usize>ldx) << 2, accumulate, dw, (<usize>lddw) << 2);
    return;
  }
  const kind = path >> 4 === IN_PLACE ? B_IN_PLACE : B_COPIED;
  packedProduct(path & 15, 1, kind, N, K, M, 0, dy, (<usize>lddy) << 2, F32, x, (<usize>ldx) << 2, 0, 0, 0, 0, 0, accumulate, dw, (<usize>lddw) << 2, scratch);
}

/** Bytes of a matrix of which four rows at a time are worth it: from memory, one long row after the other arrives faster. */
const SUM_BYTES: i64 = 1 << 19;

/** db[N] (+)= sum over rows of dy[M,N], each element in the order of the rows. */
export function sumRows(M: i32, N: i32, dy: usize, lddy: i32, accumulate: i32, db: usize): void {
  if (!ASC_NO_ASSERT) {
    matrix('sumRows: dy', dy, M, N, lddy);
    vector('sumRows: db', db, N);
  }
  const step = (<usize>lddy) << 2;
  if (accumulate === 0) memory.fill(db, 0, (<usize>N) << 2);
  let m = 0;
  const fours = <i64>M * N <= SUM_BYTES >> 2;
  for (; fours && m + 4 <= M; m += 4, dy += 4 * step) addFourRows(N, dy, step, db);
  for (; m < M; m++, dy += step) addRow(N, dy, db);
}

/** db += four rows, each element in their order: db is read and written once. */
function addFourRows(N: i32, dy: usize, step: usize, db: usize): void {
  const end = db + ((<usize>N) << 2);
  for (; db + 16 <= end; db += 16, dy += 16) {
    const two = f32x4.add(f32x4.add(v128.load(db), v128.load(dy)), v128.load(dy + step));
    v128.store(db, f32x4.add(f32x4.add(two, v128.load(dy + 2 * step)), v128.load(dy + 3 * step)));
  }
  for (; db < end; db += 4, dy += 4) {
    const two = load<f32>(db) + load<f32>(dy) + load<f32>(dy + step);
    store<f32>(db, two + load<f32>(dy + 2 * step) + load<f32>(dy + 3 * step));
  }
}

function addRow(N: i32, dy: usize, db: usize): void {
  const end = db + ((<usize>N) << 2);
  for (; db + 16 <= end; db += 16, dy += 16) v128.store(db, f32x4.add(v128.load(db), v128.load(dy)));
  for (; db < end; db += 4, dy += 4) store<f32>(db, load<f32>(db) + load<f32>(dy));
}

/** y = colScale ⊙ y + bias, row by row; either may be 0. */
function finish(M: i32, N: i32, colScale: usize, bias: usize, y: usize, ldy: i32): void {
  const end = (<usize>N) << 2;
  for (let m = 0; m < M; m++, y += (<usize>ldy) << 2) {
    let n: usize = 0;
    for (; n + 16 <= end; n += 16) {
      let v = v128.load(y + n);
      if (colScale !== 0) v = f32x4.mul(v, v128.load(colScale + n));
      if (bias !== 0) v = f32x4.add(v, v128.load(bias + n));
      v128.store(y + n, v);
    }
    for (; n < end; n += 4) {
      let v = load<f32>(y + n);
      if (colScale !== 0) v *= load<f32>(colScale + n);
      if (bias !== 0) v += load<f32>(bias + n);
      store<f32>(y + n, v);
    }
  }
}

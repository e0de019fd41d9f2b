// The transpose of a matrix in tiles of 4x4: what im2col is for a window of one element.
import { fourByFour } from '../simd';

/** to[N,M] (+)= transpose of from[M,N] */
export function transposeInto(M: i32, N: i32, from: usize, accumulate: i32, to: usize): void {
  const line = (<usize>N) << 2;
  const toLine = (<usize>M) << 2;
  let m = 0;
  for (; m + 4 <= M; m += 4, from += line << 2, to += 16) {
    let n = 0;
    let p = from;
    let q = to;
    for (; n + 4 <= N; n += 4, p += 16, q += toLine << 2) {
      fourByFour(v128.load(p), v128.load(p + line), v128.load(p + 2 * line), v128.load(p + 3 * line), accumulate, q, toLine);
    }
    for (; n < N; n++, p += 4, q += toLine) {
      for (let i: usize = 0; i < 4; i++) putOne(q + (i << 2), load<f32>(p + i * line), accumulate);
    }
  }
  for (; m < M; m++, from += line, to += 4) {
    for (let p = from, q = to, end = from + line; p < end; p += 4, q += toLine) putOne(q, load<f32>(p), accumulate);
  }
}

// @ts-ignore: decorator
@inline
function putOne(to: usize, v: f32, accumulate: i32): void {
  store<f32>(to, accumulate ? load<f32>(to) + v : v);
}

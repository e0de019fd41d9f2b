// The transpose of a matrix in tiles of 4x4: what im2col is for a window of one element.

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
      const a = v128.load(p);
      const b = v128.load(p + line);
      const c = v128.load(p + 2 * line);
      const d = v128.load(p + 3 * line);
      const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
      const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
      const ab2 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
      const cd2 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
      put(q, v128.shuffle<i64>(ab, cd, 0, 2), accumulate);
      put(q + toLine, v128.shuffle<i64>(ab, cd, 1, 3), accumulate);
      put(q + 2 * toLine, v128.shuffle<i64>(ab2, cd2, 0, 2), accumulate);
      put(q + 3 * toLine, v128.shuffle<i64>(ab2, cd2, 1, 3), accumulate);
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
function put(to: usize, v: v128, accumulate: i32): void {
  v128.store(to, accumulate ? f32x4.add(v128.load(to), v) : v);
}

// @ts-ignore: decorator
@inline
function putOne(to: usize, v: f32, accumulate: i32): void {
  store<f32>(to, accumulate ? load<f32>(to) + v : v);
}

// Products of rows with rows, straight from both matrices as they lie: y[m,n] = Σ x[m,k]·w[n,k] + Σ h[m,r]·b[n,r].
// No packing, no scratch. Cuts the output into the tiles of dot-tiles.ts.
import { dot1x1, dot1x4, dot1x6, dot2x1, dot2x4, dot2x6, dot4x1 } from './dot-tiles';

/** y[M,N] = x[M,K]·w[N,K]ᵀ + h[M,R]·b[N,R]ᵀ; NR is 6 or 4, the widest tile used. Strides in elements. */
export function dotProduct(NR: i32, M: i32, N: i32, K: i32, R: i32, x: usize, ldx: i32, w: usize, ldw: i32, h: usize, ldh: i32, b: usize, ldb: i32, y: usize, ldy: i32): void {
  const sx = (<usize>ldx) << 2;
  const sw = (<usize>ldw) << 2;
  const sh = (<usize>ldh) << 2;
  const sb = (<usize>ldb) << 2;
  const sy = (<usize>ldy) << 2;
  let n = 0;
  // Columns outside, rows inside: a few rows of w stay in the first-level cache while all of x passes.
  while (n < N) {
    const wn = w + <usize>n * sw;
    const bn = b + <usize>n * sb;
    const yn = y + ((<usize>n) << 2);
    const left = N - n;
    const width = left >= NR ? NR : left >= 4 ? 4 : 1;
    let m = 0;
    for (; width === 1 && m + 4 <= M; m += 4) {
      dot4x1(K, R, x + <usize>m * sx, sx, wn, sw, h + <usize>m * sh, sh, bn, sb, yn + <usize>m * sy, sy);
    }
    for (; m + 2 <= M; m += 2) {
      const xm = x + <usize>m * sx;
      const hm = h + <usize>m * sh;
      const ym = yn + <usize>m * sy;
      if (width === 6) dot2x6(K, R, xm, sx, wn, sw, hm, sh, bn, sb, ym, sy);
      else if (width === 4) dot2x4(K, R, xm, sx, wn, sw, hm, sh, bn, sb, ym, sy);
      else dot2x1(K, R, xm, sx, wn, sw, hm, sh, bn, sb, ym, sy);
    }
    if (m < M) {
      const xm = x + <usize>m * sx;
      const hm = h + <usize>m * sh;
      const ym = yn + <usize>m * sy;
      if (width === 6) dot1x6(K, R, xm, sx, wn, sw, hm, sh, bn, sb, ym, sy);
      else if (width === 4) dot1x4(K, R, xm, sx, wn, sw, hm, sh, bn, sb, ym, sy);
      else dot1x1(K, R, xm, sx, wn, sw, hm, sh, bn, sb, ym, sy);
    }
    n += width;
  }
}

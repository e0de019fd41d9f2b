// Per-output arithmetic of LoRA layers: scales and shifts of columns or rows, their gradients, norms of the rows or
// columns of a weight (DoRA). Matrices row-major, ld in elements.

/** y[m,n] = scale[n]·x[m,n] + shift[n]; scale or shift may be 0 (absent); y may be x. */
export function affineColumns(M: i32, N: i32, x: usize, ldx: i32, scale: usize, shift: usize, y: usize, ldy: i32): void {
  const end = (<usize>N) << 2;
  const one = f32x4.splat(1);
  const zero = f32x4.splat(0);
  for (let m = 0; m < M; m++, x += (<usize>ldx) << 2, y += (<usize>ldy) << 2) {
    let n: usize = 0;
    for (; n + 16 <= end; n += 16) {
      const s = scale ? v128.load(scale + n) : one;
      const t = shift ? v128.load(shift + n) : zero;
      v128.store(y + n, f32x4.add(f32x4.mul(s, v128.load(x + n)), t));
    }
    for (; n < end; n += 4) {
      const s: f32 = scale ? load<f32>(scale + n) : 1;
      const t: f32 = shift ? load<f32>(shift + n) : 0;
      store<f32>(y + n, s * load<f32>(x + n) + t);
    }
  }
}

/** y[m,n] = scale[m]·x[m,n] + shift[m]; scale or shift may be 0 (absent); y may be x. */
export function affineRows(M: i32, N: i32, x: usize, ldx: i32, scale: usize, shift: usize, y: usize, ldy: i32): void {
  const end = (<usize>N) << 2;
  for (let m: usize = 0; m < <usize>M; m++, x += (<usize>ldx) << 2, y += (<usize>ldy) << 2) {
    const s: f32 = scale ? load<f32>(scale + (m << 2)) : 1;
    const t: f32 = shift ? load<f32>(shift + (m << 2)) : 0;
    const s4 = f32x4.splat(s);
    const t4 = f32x4.splat(t);
    let n: usize = 0;
    for (; n + 16 <= end; n += 16) v128.store(y + n, f32x4.add(f32x4.mul(s4, v128.load(x + n)), t4));
    for (; n < end; n += 4) store<f32>(y + n, s * load<f32>(x + n) + t);
  }
}

/** out[n] (+)= w[n]·Σ_m a[m,n]·b[m,n]; four columns at a time, rows in order. */
export function dotColumns(M: i32, N: i32, a: usize, lda: i32, b: usize, ldb: i32, w: usize, accumulate: i32, out: usize): void {
  const end = (<usize>N) << 2;
  let n: usize = 0;
  for (; n + 16 <= end; n += 16) {
    let v = f32x4.splat(0);
    let p = a + n;
    let q = b + n;
    for (let m = 0; m < M; m++, p += (<usize>lda) << 2, q += (<usize>ldb) << 2) v = f32x4.add(v, f32x4.mul(v128.load(p), v128.load(q)));
    v = f32x4.mul(v, v128.load(w + n));
    v128.store(out + n, accumulate ? f32x4.add(v128.load(out + n), v) : v);
  }
  for (; n < end; n += 4) {
    let v: f32 = 0;
    let p = a + n;
    let q = b + n;
    for (let m = 0; m < M; m++, p += (<usize>lda) << 2, q += (<usize>ldb) << 2) v += load<f32>(p) * load<f32>(q);
    v *= load<f32>(w + n);
    store<f32>(out + n, accumulate ? load<f32>(out + n) + v : v);
  }
}

/** out[m] (+)= w[m]·Σ_n a[m,n]·b[m,n]; w may be 0 (ones), b may be 0 (ones); the sum in f64. */
export function dotRows(M: i32, N: i32, a: usize, lda: i32, b: usize, ldb: i32, w: usize, accumulate: i32, out: usize): void {
  for (let m: usize = 0; m < <usize>M; m++, a += (<usize>lda) << 2, b += b ? (<usize>ldb) << 2 : 0) {
    let total: f64 = 0;
    for (let n: usize = 0, end = (<usize>N) << 2; n < end; n += 4) total += <f64>load<f32>(a + n) * (b ? <f64>load<f32>(b + n) : 1);
    const v = <f32>(total * (w ? <f64>load<f32>(w + (m << 2)) : 1));
    const at = out + (m << 2);
    store<f32>(at, accumulate ? load<f32>(at) + v : v);
  }
}

/** out[m] = √Σ_n x[m,n]², summed in f64. */
export function rowNorms(M: i32, N: i32, x: usize, ldx: i32, out: usize): void {
  for (let m: usize = 0; m < <usize>M; m++, x += (<usize>ldx) << 2) {
    let a = f64x2.splat(0);
    let b = f64x2.splat(0);
    const end = (<usize>N) << 2;
    let n: usize = 0;
    for (; n + 16 <= end; n += 16) {
      const v = v128.load(x + n);
      const low = f64x2.promote_low_f32x4(v);
      const high = f64x2.promote_low_f32x4(v128.shuffle<f32>(v, v, 2, 3, 0, 1));
      a = f64x2.add(a, f64x2.mul(low, low));
      b = f64x2.add(b, f64x2.mul(high, high));
    }
    a = f64x2.add(a, b);
    let total = f64x2.extract_lane(a, 0) + f64x2.extract_lane(a, 1);
    for (; n < end; n += 4) {
      const v = <f64>load<f32>(x + n);
      total += v * v;
    }
    store<f32>(out + (m << 2), <f32>Math.sqrt(total));
  }
}

/** sums[n] += Σ_m x[m,n]², sums in f64. */
export function columnSquares(M: i32, N: i32, x: usize, ldx: i32, sums: usize): void {
  for (let m = 0; m < M; m++, x += (<usize>ldx) << 2) {
    for (let n: usize = 0; n < <usize>N; n++) {
      const v = <f64>load<f32>(x + (n << 2));
      store<f64>(sums + (n << 3), load<f64>(sums + (n << 3)) + v * v);
    }
  }
}

/** out[n] = √sums[n], sums in f64. */
export function rootOfSums(N: i32, sums: usize, out: usize): void {
  for (let n: usize = 0; n < <usize>N; n++) store<f32>(out + (n << 2), <f32>Math.sqrt(load<f64>(sums + (n << 3))));
}

/** y = a / b, element by element; where b is 0 the result is 0. */
export function quotient(n: i32, a: usize, b: usize, y: usize): void {
  for (const end = y + ((<usize>n) << 2); y < end; y += 4, a += 4, b += 4) {
    const d = load<f32>(b);
    store<f32>(y, d === 0 ? 0 : load<f32>(a) / d);
  }
}

// Element-wise kernels over n contiguous f32: four elements at a time, the tail one by one. The output may be an input.
// Every element is computed by the same operations in the vector part and in the tail, so results do not depend on position.
import { vectors } from '../checks';

export function fill(n: i32, value: f32, y: usize): void {
  if (!ASC_NO_ASSERT) vectors('fill: n; y', n, y);
  const end = y + ((<usize>n) << 2);
  const v = f32x4.splat(value);
  for (; y + 16 <= end; y += 16) v128.store(y, v);
  for (; y < end; y += 4) store<f32>(y, value);
}

export function add(n: i32, a: usize, b: usize, y: usize): void {
  if (!ASC_NO_ASSERT) vectors('add: n; a, b, y', n, a, b, y);
  const end = y + ((<usize>n) << 2);
  for (; y + 16 <= end; y += 16, a += 16, b += 16) v128.store(y, f32x4.add(v128.load(a), v128.load(b)));
  for (; y < end; y += 4, a += 4, b += 4) store<f32>(y, load<f32>(a) + load<f32>(b));
}

export function sub(n: i32, a: usize, b: usize, y: usize): void {
  if (!ASC_NO_ASSERT) vectors('sub: n; a, b, y', n, a, b, y);
  const end = y + ((<usize>n) << 2);
  for (; y + 16 <= end; y += 16, a += 16, b += 16) v128.store(y, f32x4.sub(v128.load(a), v128.load(b)));
  for (; y < end; y += 4, a += 4, b += 4) store<f32>(y, load<f32>(a) - load<f32>(b));
}

export function mul(n: i32, a: usize, b: usize, y: usize): void {
  if (!ASC_NO_ASSERT) vectors('mul: n; a, b, y', n, a, b, y);
  const end = y + ((<usize>n) << 2);
  for (; y + 16 <= end; y += 16, a += 16, b += 16) v128.store(y, f32x4.mul(v128.load(a), v128.load(b)));
  for (; y < end; y += 4, a += 4, b += 4) store<f32>(y, load<f32>(a) * load<f32>(b));
}

/** y = s·x */
export function scale(n: i32, s: f32, x: usize, y: usize): void {
  if (!ASC_NO_ASSERT) vectors('scale: n; x, y', n, x, y);
  const end = y + ((<usize>n) << 2);
  const v = f32x4.splat(s);
  for (; y + 16 <= end; y += 16, x += 16) v128.store(y, f32x4.mul(v, v128.load(x)));
  for (; y < end; y += 4, x += 4) store<f32>(y, s * load<f32>(x));
}

/** y += s·x */
export function axpy(n: i32, s: f32, x: usize, y: usize): void {
  if (!ASC_NO_ASSERT) vectors('axpy: n; x, y', n, x, y);
  const end = y + ((<usize>n) << 2);
  const v = f32x4.splat(s);
  for (; y + 16 <= end; y += 16, x += 16) v128.store(y, f32x4.add(v128.load(y), f32x4.mul(v, v128.load(x))));
  for (; y < end; y += 4, x += 4) store<f32>(y, load<f32>(y) + s * load<f32>(x));
}

/** y += s·a⊙b */
export function mulAdd(n: i32, s: f32, a: usize, b: usize, y: usize): void {
  if (!ASC_NO_ASSERT) vectors('mulAdd: n; a, b, y', n, a, b, y);
  const end = y + ((<usize>n) << 2);
  const v = f32x4.splat(s);
  for (; y + 16 <= end; y += 16, a += 16, b += 16) {
    v128.store(y, f32x4.add(v128.load(y), f32x4.mul(f32x4.mul(v, v128.load(a)), v128.load(b))));
  }
  for (; y < end; y += 4, a += 4, b += 4) store<f32>(y, load<f32>(y) + s * load<f32>(a) * load<f32>(b));
}

/** y += value */
export function addScalar(n: i32, value: f32, y: usize): void {
  if (!ASC_NO_ASSERT) vectors('addScalar: n; y', n, y);
  const end = y + ((<usize>n) << 2);
  const v = f32x4.splat(value);
  for (; y + 16 <= end; y += 16) v128.store(y, f32x4.add(v128.load(y), v));
  for (; y < end; y += 4) store<f32>(y, load<f32>(y) + value);
}

/** da (+)= s·(a - b) */
export function differenceScaled(n: i32, s: f32, a: usize, b: usize, accumulate: i32, da: usize): void {
  if (!ASC_NO_ASSERT) vectors('differenceScaled: n; a, b, da', n, a, b, da);
  const end = da + ((<usize>n) << 2);
  const v = f32x4.splat(s);
  for (; da + 16 <= end; da += 16, a += 16, b += 16) {
    const d = f32x4.mul(v, f32x4.sub(v128.load(a), v128.load(b)));
    v128.store(da, accumulate ? f32x4.add(v128.load(da), d) : d);
  }
  for (; da < end; da += 4, a += 4, b += 4) {
    const d = s * (load<f32>(a) - load<f32>(b));
    store<f32>(da, accumulate ? load<f32>(da) + d : d);
  }
}

/** y = 0 where x <= 0, else x: NaN stays NaN. */
export function reluForward(n: i32, x: usize, y: usize): void {
  if (!ASC_NO_ASSERT) vectors('reluForward: n; x, y', n, x, y);
  const end = y + ((<usize>n) << 2);
  const zero = f32x4.splat(0);
  for (; y + 16 <= end; y += 16, x += 16) {
    const v = v128.load(x);
    v128.store(y, v128.andnot(v, f32x4.le(v, zero)));
  }
  for (; y < end; y += 4, x += 4) {
    const v = load<f32>(x);
    store<f32>(y, v <= 0 ? 0 : v);
  }
}

/** dx (+)= 0 where y <= 0, else dy: as in PyTorch a NaN passes the gradient on. */
export function reluBackward(n: i32, y: usize, dy: usize, accumulate: i32, dx: usize): void {
  if (!ASC_NO_ASSERT) vectors('reluBackward: n; y, dy, dx', n, y, dy, dx);
  const end = dx + ((<usize>n) << 2);
  const zero = f32x4.splat(0);
  for (; dx + 16 <= end; dx += 16, y += 16, dy += 16) {
    const g = v128.andnot(v128.load(dy), f32x4.le(v128.load(y), zero));
    v128.store(dx, accumulate ? f32x4.add(v128.load(dx), g) : g);
  }
  for (; dx < end; dx += 4, y += 4, dy += 4) {
    const g: f32 = load<f32>(y) <= 0 ? 0 : load<f32>(dy);
    store<f32>(dx, accumulate ? load<f32>(dx) + g : g);
  }
}

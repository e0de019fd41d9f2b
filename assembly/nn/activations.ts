// Smooth activations over n contiguous f32, four at a time; the tail goes through a lane of the same arithmetic.
import { exp4 } from './exp';

/** 1 - 2/(e^{2|x|} + 1) with the sign of x; an odd polynomial (Cephes tanhf) where |x| < 0.625, which the first would round away. */
export function tanh4(x: v128): v128 {
  const one = f32x4.splat(1);
  const size = f32x4.abs(x);
  const e = exp4(f32x4.add(size, size));
  const large = f32x4.sub(one, f32x4.div(f32x4.splat(2), f32x4.add(e, one)));
  const z = f32x4.mul(x, x);
  let p = f32x4.splat(-5.70498872745e-3);
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(2.06390887954e-2));
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(-5.37397155531e-2));
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(1.33314422036e-1));
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(-3.33332819422e-1));
  const small = f32x4.add(f32x4.mul(f32x4.mul(p, z), size), size);
  const y = v128.bitselect(small, large, f32x4.lt(size, f32x4.splat(0.625)));
  return v128.or(y, v128.and(x, f32x4.splat(-0.0)));
}

/** 1/(1 + e^-x) */
function sigmoid4(x: v128): v128 {
  const one = f32x4.splat(1);
  return f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(x))));
}

/** y = tanh(x) */
export function tanhForward(n: i32, x: usize, y: usize): void {
  const end = y + ((<usize>n) << 2);
  for (; y + 16 <= end; y += 16, x += 16) v128.store(y, tanh4(v128.load(x)));
  for (; y < end; y += 4, x += 4) store<f32>(y, f32x4.extract_lane(tanh4(v128.load32_splat(x)), 0));
}

/** dx (+)= dy·(1 - y²) */
export function tanhBackward(n: i32, y: usize, dy: usize, accumulate: i32, dx: usize): void {
  const end = dx + ((<usize>n) << 2);
  const one = f32x4.splat(1);
  for (; dx + 16 <= end; dx += 16, y += 16, dy += 16) {
    const v = v128.load(y);
    const g = f32x4.mul(v128.load(dy), f32x4.sub(one, f32x4.mul(v, v)));
    v128.store(dx, accumulate ? f32x4.add(v128.load(dx), g) : g);
  }
  for (; dx < end; dx += 4, y += 4, dy += 4) {
    const v = load<f32>(y);
    const g = load<f32>(dy) * (1 - v * v);
    store<f32>(dx, accumulate ? load<f32>(dx) + g : g);
  }
}

/** y = 1/(1 + e^-x) */
export function sigmoidForward(n: i32, x: usize, y: usize): void {
  const end = y + ((<usize>n) << 2);
  for (; y + 16 <= end; y += 16, x += 16) v128.store(y, sigmoid4(v128.load(x)));
  for (; y < end; y += 4, x += 4) store<f32>(y, f32x4.extract_lane(sigmoid4(v128.load32_splat(x)), 0));
}

/** dx (+)= dy·y·(1 - y) */
export function sigmoidBackward(n: i32, y: usize, dy: usize, accumulate: i32, dx: usize): void {
  const end = dx + ((<usize>n) << 2);
  const one = f32x4.splat(1);
  for (; dx + 16 <= end; dx += 16, y += 16, dy += 16) {
    const v = v128.load(y);
    const g = f32x4.mul(f32x4.mul(v128.load(dy), v), f32x4.sub(one, v));
    v128.store(dx, accumulate ? f32x4.add(v128.load(dx), g) : g);
  }
  for (; dx < end; dx += 4, y += 4, dy += 4) {
    const v = load<f32>(y);
    const g = load<f32>(dy) * v * (1 - v);
    store<f32>(dx, accumulate ? load<f32>(dx) + g : g);
  }
}

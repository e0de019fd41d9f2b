// Smooth activations over n contiguous f32; the tail goes through a lane of the same arithmetic. Two vectors a turn: they
// share the loads of the constants and the counting.
import { vectors } from '../checks';
import { madd } from '../simd';
import { exp4, powerOfTwo4, restExpm1, wholePart4 } from './exp';

/**
 * (e^{2|x|} - 1)/(e^{2|x|} + 1) with the sign of x. With e^{2|x|} = 2^k·(1 + q) the numerator is 2^k·q + (2^k - 1), which keeps the
 * digits of a small x. From 2|x| = 40 on it is 1.
 */
// @ts-ignore: decorator
@inline
function tanh4(x: v128): v128 {
  const one = f32x4.splat(1);
  const size = f32x4.abs(x);
  const twice = f32x4.pmin(f32x4.add(size, size), f32x4.splat(40));
  const whole = wholePart4(twice);
  const power = powerOfTwo4(whole);
  const above = madd(power, restExpm1(twice, whole), f32x4.sub(power, one));
  const y = f32x4.div(above, f32x4.add(above, f32x4.splat(2)));
  return v128.or(y, v128.and(x, f32x4.splat(-0.0)));
}

/** 1/(1 + e^-x) */
// @ts-ignore: decorator
@inline
function sigmoid4(x: v128): v128 {
  const one = f32x4.splat(1);
  return f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(x))));
}

/** y = tanh(x) */
export function tanhForward(n: i32, x: usize, y: usize): void {
  if (!ASC_NO_ASSERT) vectors('tanhForward: n; x, y', n, x, y);
  const end = y + ((<usize>n) << 2);
  for (; y + 32 <= end; y += 32, x += 32) {
    const first = tanh4(v128.load(x));
    const second = tanh4(v128.load(x, 16));
    v128.store(y, first);
    v128.store(y, second, 16);
  }
  for (; y + 16 <= end; y += 16, x += 16) v128.store(y, tanh4(v128.load(x)));
  for (; y < end; y += 4, x += 4) store<f32>(y, f32x4.extract_lane(tanh4(v128.load32_splat(x)), 0));
}

/** dx (+)= dy·(1 - y²) */
export function tanhBackward(n: i32, y: usize, dy: usize, accumulate: i32, dx: usize): void {
  if (!ASC_NO_ASSERT) vectors('tanhBackward: n; y, dy, dx', n, y, dy, dx);
  const end = dx + ((<usize>n) << 2);
  for (; dx + 32 <= end; dx += 32, y += 32, dy += 32) {
    const first = tanhGradient4(y, dy, accumulate, dx);
    const second = tanhGradient4(y + 16, dy + 16, accumulate, dx + 16);
    v128.store(dx, first);
    v128.store(dx, second, 16);
  }
  for (; dx + 16 <= end; dx += 16, y += 16, dy += 16) v128.store(dx, tanhGradient4(y, dy, accumulate, dx));
  for (; dx < end; dx += 4, y += 4, dy += 4) {
    const v = load<f32>(y);
    const g = load<f32>(dy) * (1 - v * v);
    store<f32>(dx, accumulate ? load<f32>(dx) + g : g);
  }
}

// @ts-ignore: decorator
@inline
function tanhGradient4(y: usize, dy: usize, accumulate: i32, dx: usize): v128 {
  const v = v128.load(y);
  const g = f32x4.mul(v128.load(dy), f32x4.sub(f32x4.splat(1), f32x4.mul(v, v)));
  return accumulate ? f32x4.add(v128.load(dx), g) : g;
}

/** y = 1/(1 + e^-x) */
export function sigmoidForward(n: i32, x: usize, y: usize): void {
  if (!ASC_NO_ASSERT) vectors('sigmoidForward: n; x, y', n, x, y);
  const end = y + ((<usize>n) << 2);
  for (; y + 32 <= end; y += 32, x += 32) {
    const first = sigmoid4(v128.load(x));
    const second = sigmoid4(v128.load(x, 16));
    v128.store(y, first);
    v128.store(y, second, 16);
  }
  for (; y + 16 <= end; y += 16, x += 16) v128.store(y, sigmoid4(v128.load(x)));
  for (; y < end; y += 4, x += 4) store<f32>(y, f32x4.extract_lane(sigmoid4(v128.load32_splat(x)), 0));
}

/** dx (+)= dy·y·(1 - y) */
export function sigmoidBackward(n: i32, y: usize, dy: usize, accumulate: i32, dx: usize): void {
  if (!ASC_NO_ASSERT) vectors('sigmoidBackward: n; y, dy, dx', n, y, dy, dx);
  const end = dx + ((<usize>n) << 2);
  for (; dx + 32 <= end; dx += 32, y += 32, dy += 32) {
    const first = sigmoidGradient4(y, dy, accumulate, dx);
    const second = sigmoidGradient4(y + 16, dy + 16, accumulate, dx + 16);
    v128.store(dx, first);
    v128.store(dx, second, 16);
  }
  for (; dx + 16 <= end; dx += 16, y += 16, dy += 16) v128.store(dx, sigmoidGradient4(y, dy, accumulate, dx));
  for (; dx < end; dx += 4, y += 4, dy += 4) {
    const v = load<f32>(y);
    const g = load<f32>(dy) * v * (1 - v);
    store<f32>(dx, accumulate ? load<f32>(dx) + g : g);
  }
}

// @ts-ignore: decorator
@inline
function sigmoidGradient4(y: usize, dy: usize, accumulate: i32, dx: usize): v128 {
  const v = v128.load(y);
  const g = f32x4.mul(f32x4.mul(v128.load(dy), v), f32x4.sub(f32x4.splat(1), v));
  return accumulate ? f32x4.add(v128.load(dx), g) : g;
}

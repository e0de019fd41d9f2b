// GELU over n contiguous f32, exact (x·Φ(x), Φ the normal distribution) or by tanh, and their backward from x.
import { tanh4 } from './activations';
import { exp4 } from './exp';

// @ts-ignore: decorator
@inline
function step(p: v128, t: v128, coefficient: f32): v128 {
  return f32x4.add(f32x4.mul(p, t), f32x4.splat(coefficient));
}

/**
 * Φ(x) = erfc(-x/√2)/2 to about 1e-7, and to 1e-6 of itself in the left tail. With z = |x|/√2: below 1 the power series of erf; above,
 * e^{-z²} times a polynomial in 1/(1 + z/2), interpolated at Chebyshev nodes over 1 <= z <= 10 (1.5e-8 of its value).
 */
function normalCdf4(x: v128): v128 {
  const z = f32x4.mul(f32x4.abs(x), f32x4.splat(0.70710678118654752));
  const zz = f32x4.mul(z, z);
  let s = f32x4.splat(-8.1829223456e-8);
  s = step(s, zz, 8.2310571829e-7);
  s = step(s, zz, -7.4628251792e-6);
  s = step(s, zz, 6.0276664909e-5);
  s = step(s, zz, -4.2741635117e-4);
  s = step(s, zz, 2.6119888127e-3);
  s = step(s, zz, -1.3433085323e-2);
  s = step(s, zz, 5.6418958355e-2);
  s = step(s, zz, -1.8806319452e-1);
  s = step(s, zz, 5.6418958355e-1);
  const half = f32x4.splat(0.5);
  const near = f32x4.add(half, f32x4.mul(f32x4.mul(s, f32x4.splat(0.70710678118654752)), x));
  const t = f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), f32x4.mul(half, z)));
  let p = f32x4.splat(7.4066185146e-2);
  p = step(p, t, -1.6263774575e-1);
  p = step(p, t, -6.2601733336e-3);
  p = step(p, t, 1.2965188308e-1);
  p = step(p, t, 1.4660777672e-1);
  p = step(p, t, 2.5629827176e-1);
  p = step(p, t, 2.8040470919e-1);
  p = step(p, t, 2.8225628626e-1);
  p = step(p, t, -6.4338229344e-6);
  const tail = f32x4.mul(f32x4.mul(half, p), exp4(f32x4.neg(zz)));
  const far = v128.bitselect(f32x4.sub(f32x4.splat(1), tail), tail, f32x4.gt(x, f32x4.splat(0)));
  return v128.bitselect(near, far, f32x4.lt(z, f32x4.splat(1)));
}

/** tanh(√(2/π)·(x + 0.044715·x³)), x within ±10: beyond, it is ±1 in f32. */
function tanhInner4(x: v128): v128 {
  const cubic = f32x4.mul(f32x4.mul(f32x4.mul(x, x), x), f32x4.splat(0.044715));
  return tanh4(f32x4.mul(f32x4.splat(0.79788456080286536), f32x4.add(x, cubic)));
}

// @ts-ignore: decorator
@inline
function clamp10(x: v128): v128 {
  return f32x4.max(f32x4.min(x, f32x4.splat(10)), f32x4.splat(-10));
}

function gelu4(x: v128, approximate: i32): v128 {
  if (!approximate) return f32x4.mul(x, normalCdf4(x));
  const one = f32x4.splat(1);
  return f32x4.mul(f32x4.mul(f32x4.splat(0.5), x), f32x4.add(one, tanhInner4(clamp10(x))));
}

/** Φ(x) + x·φ(x), or the derivative of the form with tanh. */
function slope4(x: v128, approximate: i32): v128 {
  if (!approximate) {
    const density = f32x4.mul(f32x4.splat(0.39894228040143268), exp4(f32x4.mul(f32x4.mul(x, x), f32x4.splat(-0.5))));
    return f32x4.add(normalCdf4(x), f32x4.mul(x, density));
  }
  const one = f32x4.splat(1);
  const half = f32x4.splat(0.5);
  const v = clamp10(x);
  const t = tanhInner4(v);
  const inner = f32x4.mul(f32x4.splat(0.79788456080286536), f32x4.add(one, f32x4.mul(f32x4.splat(0.134145), f32x4.mul(v, v))));
  const bend = f32x4.mul(f32x4.mul(f32x4.mul(half, v), f32x4.mul(f32x4.sub(one, t), f32x4.add(one, t))), inner);
  return f32x4.add(f32x4.mul(half, f32x4.add(one, t)), bend);
}

/** y = gelu(x); approximate 1: the form with tanh. */
export function geluForward(n: i32, approximate: i32, x: usize, y: usize): void {
  const end = y + ((<usize>n) << 2);
  for (; y + 16 <= end; y += 16, x += 16) v128.store(y, gelu4(v128.load(x), approximate));
  for (; y < end; y += 4, x += 4) store<f32>(y, f32x4.extract_lane(gelu4(v128.load32_splat(x), approximate), 0));
}

/** dx (+)= dy·gelu'(x) */
export function geluBackward(n: i32, approximate: i32, x: usize, dy: usize, accumulate: i32, dx: usize): void {
  const end = dx + ((<usize>n) << 2);
  for (; dx + 16 <= end; dx += 16, x += 16, dy += 16) {
    const g = f32x4.mul(v128.load(dy), slope4(v128.load(x), approximate));
    v128.store(dx, accumulate ? f32x4.add(v128.load(dx), g) : g);
  }
  for (; dx < end; dx += 4, x += 4, dy += 4) {
    const g = load<f32>(dy) * f32x4.extract_lane(slope4(v128.load32_splat(x), approximate), 0);
    store<f32>(dx, accumulate ? load<f32>(dx) + g : g);
  }
}

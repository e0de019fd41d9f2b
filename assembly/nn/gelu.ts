// GELU over n contiguous f32, exact (x·Φ(x), Φ the normal distribution) or by tanh, and their backward from x.
import { vectors } from '../checks';
import { constant, madd } from '../simd';
import { exp4, expWithin4 } from './exp';

const ONE: usize = 0;
const SLOPE: usize = 1;
/** e^{z²/2}·Φ(-z) in t = 1/(1 + 0.35·z), the best polynomial of degree 9 for 0 <= z <= 14.5 (2.8e-8 of its value). Highest power first. */
const P: usize = 2;
const HALF: usize = 12;
const DENSITY: usize = 13;
const EXACT = memory.data<f32>(
  [
    1, 0.35,
    -2.826536845e-2, 1.3940823221e-1, -2.4553921282e-1, 1.4640275076e-1, -1.3197716143e-2,
    1.005918091e-1, 1.213858264e-1, 1.395615243e-1, 1.3965359539e-1, -1.454625744e-6,
    -0.5, 0.39894228040143268,
  ],
  16,
);

/** √(8/π) and √(8/π)·0.044715, the same times 3, and the largest |x| whose slope differs from 0 or 1. */
const LINEAR: usize = 1;
const CUBIC: usize = 2;
const CUBIC_SLOPE: usize = 3;
const FAR: usize = 4;
const TANH = memory.data<f32>([1, 1.5957691216057308, 0.0713548162726009, 0.2140644488178027, 10], 16);

/** Φ(x), given e^{-x²/2}. */
// @ts-ignore: decorator
@inline
function normalCdf4(x: v128, bell: v128): v128 {
  const one = constant(EXACT, ONE);
  const t = f32x4.div(one, madd(f32x4.abs(x), constant(EXACT, SLOPE), one));
  // Odd and even powers apart: two chains of half the length.
  const tt = f32x4.mul(t, t);
  let odd = madd(constant(EXACT, P), tt, constant(EXACT, P + 2));
  let even = madd(constant(EXACT, P + 1), tt, constant(EXACT, P + 3));
  odd = madd(odd, tt, constant(EXACT, P + 4));
  even = madd(even, tt, constant(EXACT, P + 5));
  odd = madd(odd, tt, constant(EXACT, P + 6));
  even = madd(even, tt, constant(EXACT, P + 7));
  odd = madd(odd, tt, constant(EXACT, P + 8));
  even = madd(even, tt, constant(EXACT, P + 9));
  const p = madd(odd, t, even);
  const tail = f32x4.mul(p, bell);
  return v128.bitselect(f32x4.sub(one, tail), tail, f32x4.gt(x, f32x4.splat(0)));
}

/** e^{-x²/2} */
// @ts-ignore: decorator
@inline
function bell4(x: v128): v128 {
  return exp4(f32x4.mul(f32x4.mul(x, x), constant(EXACT, HALF)));
}

/** -2·√(2/π)·(x + 0.044715·x³): with u half of its opposite, (1 + tanh u)/2 is 1/(1 + e^{-2u}). */
// @ts-ignore: decorator
@inline
function exponent4(x: v128): v128 {
  return f32x4.neg(f32x4.mul(x, madd(f32x4.mul(x, x), constant(TANH, CUBIC), constant(TANH, LINEAR))));
}

// @ts-ignore: decorator
@inline
function gelu4(x: v128, approximate: bool): v128 {
  if (!approximate) return f32x4.mul(x, normalCdf4(x, bell4(x)));
  return f32x4.div(x, f32x4.add(constant(TANH, ONE), exp4(exponent4(x))));
}

/** Φ(x) + x·φ(x), or the derivative of the form with tanh, s + x·s·(1 - s)·2u' with s = 1/(1 + e^{-2u}). */
// @ts-ignore: decorator
@inline
function slope4(x: v128, approximate: bool): v128 {
  if (!approximate) {
    const bell = bell4(x);
    return madd(f32x4.mul(x, constant(EXACT, DENSITY)), bell, normalCdf4(x, bell));
  }
  const one = constant(TANH, ONE);
  const far = constant(TANH, FAR);
  const v = f32x4.pmax(f32x4.pmin(x, far), f32x4.neg(far));
  const e = expWithin4(exponent4(v));
  const s = f32x4.div(one, f32x4.add(one, e));
  const inner = madd(f32x4.mul(v, v), constant(TANH, CUBIC_SLOPE), constant(TANH, LINEAR));
  return madd(f32x4.mul(f32x4.mul(v, s), f32x4.mul(e, s)), inner, s);
}

/** y = gelu(x); approximate 1: the form with tanh. */
export function geluForward(n: i32, approximate: i32, x: usize, y: usize): void {
  if (!ASC_NO_ASSERT) vectors('geluForward: n; x, y', n, x, y);
  if (approximate) forward(n, true, x, y);
  else forward(n, false, x, y);
}

/** dx (+)= dy·gelu'(x) */
export function geluBackward(n: i32, approximate: i32, x: usize, dy: usize, accumulate: i32, dx: usize): void {
  if (!ASC_NO_ASSERT) vectors('geluBackward: n; x, dy, dx', n, x, dy, dx);
  if (approximate) backward(n, true, x, dy, accumulate, dx);
  else backward(n, false, x, dy, accumulate, dx);
}

/** Which form is known when compiled: each has a loop of its own. */
// @ts-ignore: decorator
@inline
function forward(n: i32, approximate: bool, x: usize, y: usize): void {
  const end = y + ((<usize>n) << 2);
  for (; y + 32 <= end; y += 32, x += 32) {
    const first = gelu4(v128.load(x), approximate);
    const second = gelu4(v128.load(x, 16), approximate);
    v128.store(y, first);
    v128.store(y, second, 16);
  }
  for (; y + 16 <= end; y += 16, x += 16) v128.store(y, gelu4(v128.load(x), approximate));
  for (; y < end; y += 4, x += 4) store<f32>(y, f32x4.extract_lane(gelu4(v128.load32_splat(x), approximate), 0));
}

// @ts-ignore: decorator
@inline
function backward(n: i32, approximate: bool, x: usize, dy: usize, accumulate: i32, dx: usize): void {
  const end = dx + ((<usize>n) << 2);
  for (; dx + 32 <= end; dx += 32, x += 32, dy += 32) {
    const first = gradient4(x, approximate, dy, accumulate, dx);
    const second = gradient4(x + 16, approximate, dy + 16, accumulate, dx + 16);
    v128.store(dx, first);
    v128.store(dx, second, 16);
  }
  for (; dx + 16 <= end; dx += 16, x += 16, dy += 16) v128.store(dx, gradient4(x, approximate, dy, accumulate, dx));
  for (; dx < end; dx += 4, x += 4, dy += 4) {
    const g = load<f32>(dy) * f32x4.extract_lane(slope4(v128.load32_splat(x), approximate), 0);
    store<f32>(dx, accumulate ? load<f32>(dx) + g : g);
  }
}

// @ts-ignore: decorator
@inline
function gradient4(x: usize, approximate: bool, dy: usize, accumulate: i32, dx: usize): v128 {
  const g = f32x4.mul(v128.load(dy), slope4(v128.load(x), approximate));
  return accumulate ? f32x4.add(v128.load(dx), g) : g;
}

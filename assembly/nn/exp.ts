// e^x of four lanes, about one unit in the last place, and its parts. Used by the smooth activations, softmax and cross-entropy.
// x = k·ln2 + f with |f| <= ln2/2, ln2 in two parts so that k·ln2 is exact enough; e^f - 1 by a polynomial; 2^k put together as bits.
import { constant, madd } from '../simd';

const LOG2E: usize = 0;
/** 1.5·2^23: a number added to it is rounded to a whole one, which stands in the low bits. */
const ROUND: usize = 1;
const LN2_HIGH: usize = 2;
const LN2_LOW: usize = 3;
/** (e^f - 1 - f)/f², the best polynomial of degree 4 on |f| <= 0.3476 (7.6e-9 of e^f). Highest power first. */
const P: usize = 4;
const ONE: usize = 9;
const LEAST: usize = 10;
const LARGEST: usize = 11;
const TABLE = memory.data<f32>(
  [
    1.4426950408889634, 12582912, -0.693359375, 2.1219444e-4,
    1.3941428015e-3, 8.3633548904e-3, 4.1666371733e-2, 1.6666575924e-1, 0.50000000274,
    1, -88, 89,
  ],
  16,
);

/** k in the low bits of each lane. */
// @ts-ignore: decorator
@inline
export function wholePart4(x: v128): v128 {
  return madd(x, constant(TABLE, LOG2E), constant(TABLE, ROUND));
}

/** e^f - 1, f what k leaves of x. */
// @ts-ignore: decorator
@inline
export function restExpm1(x: v128, whole: v128): v128 {
  const k = f32x4.sub(whole, constant(TABLE, ROUND));
  const f = madd(k, constant(TABLE, LN2_LOW), madd(k, constant(TABLE, LN2_HIGH), x));
  const ff = f32x4.mul(f, f);
  const low = madd(constant(TABLE, P + 3), f, constant(TABLE, P + 4));
  const high = madd(constant(TABLE, P), ff, madd(constant(TABLE, P + 1), f, constant(TABLE, P + 2)));
  return madd(f32x4.mul(ff, ff), high, madd(ff, low, f));
}

/** 2^k for k from -127, which gives 0, to 128, which gives infinity. */
// @ts-ignore: decorator
@inline
export function powerOfTwo4(whole: v128): v128 {
  return i32x4.add(i32x4.shl(whole, 23), constant(TABLE, ONE));
}

/** e^x for x from -88 to 89. */
// @ts-ignore: decorator
@inline
export function expWithin4(x: v128): v128 {
  const whole = wholePart4(x);
  return f32x4.mul(f32x4.add(restExpm1(x, whole), constant(TABLE, ONE)), powerOfTwo4(whole));
}

/** e^x; 0 where it is below 2^-126.5, infinity where it is above 2^127.5, NaN for NaN. */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  // pmin and pmax are one instruction each, and give the NaN that is their first operand.
  return expWithin4(f32x4.pmax(f32x4.pmin(x, constant(TABLE, LARGEST)), constant(TABLE, LEAST)));
}

/** e^x of one number, the same value as a lane of `exp4`. */
export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0);
}

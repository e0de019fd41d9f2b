/**
 * exp for x <= 0 out of sums, products and shifts alone: `Math.exp` may differ in its last bit between engines, and with it the
 * token that a seed draws. `sampling.ts` calls it.
 */

const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;
const INVERSE_LN2 = Math.LOG2E;
/** Below it exp is 0 for what is drawn here: e^-700 is 1e-304. */
const LEAST = -700;
const DEGREE = 13;

/** 2^-k. */
const POWERS = new Float64Array(1 - Math.floor(LEAST * INVERSE_LN2));
for (let k = 0, power = 1; k < POWERS.length; k++, power /= 2) POWERS[k] = power;

/** e^x within 4 units of the last place, the same bits everywhere; 0 below -700. */
export function exponential(x: number): number {
  if (x < LEAST) return 0;
  const k = Math.round(x * INVERSE_LN2);
  const r = x - k * LN2_HIGH - k * LN2_LOW;
  // The series of e^r, |r| <= 0.35, from its end.
  let sum = 1;
  for (let n = DEGREE; n > 0; n--) sum = 1 + (r / n) * sum;
  return sum * POWERS[-k]!;
}

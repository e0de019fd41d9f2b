// Rotary position embedding (Su and others, arXiv 2104.09864) in the layout of halves: elements j and j + half of a head turn by
// the angle position·theta^(-2j/headDim)/factor[j]. Angles and their cosines and sines are computed here in f64, in a fixed order, and
// rounded once: a host's own `Math.cos` differs between engines. The table is [length, half] of each.
import { indices, matrix, optional, sizes, steps, vector } from '../checks';

/** ln 2 and π/2 in two parts, the first short enough that its product with a whole number below 2^20 is exact. */
const LN2_HIGH: f64 = 0.6931471803691238;
const LN2_LOW: f64 = 1.9082149292705877e-10;
const HALF_PI_HIGH: f64 = 1.5707963267341256;
const HALF_PI_LOW: f64 = 6.077100506506192e-11;

/** e^x for x from -700 to 700: x = k·ln2 + f, the power series of e^f, |f| <= ln2/2, to 4e-18. */
function exp64(x: f64): f64 {
  const k = Math.round(x * 1.4426950408889634);
  const f = x - k * LN2_HIGH - k * LN2_LOW;
  let total: f64 = 1;
  for (let n: f64 = 14; n > 0; n--) total = 1 + (total * f) / n;
  return total * reinterpret<f64>((<i64>k + 1023) << 52);
}

/** cos of f where |f| <= π/4, by its power series, to 5e-17. */
// @ts-ignore: decorator
@inline
function cosSeries(f: f64): f64 {
  const z = f * f;
  const high = 1.0 / 40320 - z * (1.0 / 3628800 - z * (1.0 / 479001600 - z * (1.0 / 87178291200 - z / 20922789888000)));
  return 1 - z * (1.0 / 2 - z * (1.0 / 24 - z * (1.0 / 720 - z * high)));
}

/** sin of f where |f| <= π/4. */
// @ts-ignore: decorator
@inline
function sinSeries(f: f64): f64 {
  const z = f * f;
  const high = 1.0 / 362880 - z * (1.0 / 39916800 - z * (1.0 / 6227020800 - z * (1.0 / 1307674368000 - z / 355687428096000)));
  return f - f * z * (1.0 / 6 - z * (1.0 / 120 - z * (1.0 / 5040 - z * high)));
}

/**
 * cos[p,j] and sin[p,j] of p·theta^(-j/half)/factors[j], times `scale`, for p below length; factors is [half] or 0 (ones).
 * No angle may reach 2^20: the host sees to it.
 */
export function rotaryTable(length: i32, half: i32, theta: f64, scale: f64, factors: usize, cos: usize, sin: usize): void {
  if (!ASC_NO_ASSERT) {
    optional('rotaryTable: factors', factors, half);
    matrix('rotaryTable: cos', cos, length, half, half);
    matrix('rotaryTable: sin', sin, length, half, half);
  }
  const slope = -Math.log(theta) / <f64>half;
  const step = (<usize>half) << 2;
  for (let j = 0; j < half; j++, cos += 4, sin += 4) {
    let frequency = exp64(<f64>j * slope);
    if (factors) frequency /= <f64>load<f32>(factors + ((<usize>j) << 2));
    for (let p = 0, at: usize = 0; p < length; p++, at += step) {
      const angle = <f64>p * frequency;
      const quarter = Math.floor(angle * 0.6366197723675814 + 0.5);
      const f = angle - quarter * HALF_PI_HIGH - quarter * HALF_PI_LOW;
      const c = scale * cosSeries(f);
      const s = scale * sinSeries(f);
      const turns = <i32>quarter & 3;
      store<f32>(cos + at, <f32>(turns === 0 ? c : turns === 1 ? -s : turns === 2 ? -c : s));
      store<f32>(sin + at, <f32>(turns === 0 ? s : turns === 1 ? c : turns === 2 ? -s : -c));
    }
  }
}

/**
 * Every head of every row of x[M, heads·2·half] turned by its position: y (+)= [x1·c - x2·s, x2·c + x1·s], s negated with
 * `inverse`. Row m has position positions[(first + m) mod period], or (first + m) mod period where positions is 0; first is below period.
 * The tables are [length, half]. y may be x.
 */
export function rotate(M: i32, heads: i32, half: i32, x: usize, ldx: i32, positions: usize, first: i32, period: i32, length: i32, cos: usize, sin: usize, inverse: i32, accumulate: i32, y: usize, ldy: i32): void {
  if (!ASC_NO_ASSERT) {
    sizes('rotate', M, heads, half, length);
    if (<u32>first >= <u32>period) abort('a row begins within its period', 'rotate: first', first, period);
    steps('rotate: period', period);
    matrix('rotate: x', x, M, heads * 2 * half, ldx);
    if (positions) indices('rotate: positions', positions, period, -1, length);
    vector('rotate: cos', cos, length * half);
    vector('rotate: sin', sin, length * half);
    matrix('rotate: y', y, M, heads * 2 * half, ldy);
  }
  const width = (<usize>half) << 2;
  const sign: f32 = inverse ? -1 : 1;
  for (let m = 0, p = first; m < M; m++, x += (<usize>ldx) << 2, y += (<usize>ldy) << 2) {
    const position = positions ? load<i32>(positions + ((<usize>p) << 2)) : p;
    if (++p === period) p = 0;
    const c = cos + <usize>position * width;
    const s = sin + <usize>position * width;
    let from = x;
    let to = y;
    for (let h = 0; h < heads; h++, from += 2 * width, to += 2 * width) rotateHead(width, from, c, s, sign, accumulate, to);
  }
}

// @ts-ignore: decorator
@inline
function rotateHead(width: usize, x: usize, cos: usize, sin: usize, sign: f32, accumulate: i32, y: usize): void {
  const signs = f32x4.splat(sign);
  let at: usize = 0;
  for (; at + 16 <= width; at += 16) {
    const low = v128.load(x + at);
    const high = v128.load(x + width + at);
    const c = v128.load(cos + at);
    const s = f32x4.mul(signs, v128.load(sin + at));
    const first = f32x4.sub(f32x4.mul(low, c), f32x4.mul(high, s));
    const second = f32x4.add(f32x4.mul(high, c), f32x4.mul(low, s));
    v128.store(y + at, accumulate ? f32x4.add(v128.load(y + at), first) : first);
    v128.store(y + width + at, accumulate ? f32x4.add(v128.load(y + width + at), second) : second);
  }
  for (; at < width; at += 4) {
    const low = load<f32>(x + at);
    const high = load<f32>(x + width + at);
    const c = load<f32>(cos + at);
    const s = sign * load<f32>(sin + at);
    const first = low * c - high * s;
    const second = high * c + low * s;
    store<f32>(y + at, accumulate ? load<f32>(y + at) + first : first);
    store<f32>(y + width + at, accumulate ? load<f32>(y + width + at) + second : second);
  }
}

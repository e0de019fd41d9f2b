// Uniform numbers and dropout: one word an element, sixteen elements a turn. Four counters go through Philox side by side, word by
// word in four vectors; a tail takes its counters one by one, and gets the same bits.
import { vector } from '../checks';
import { constant } from '../simd';
import { M0, M1, W0, W1, words } from './philox';

const ROUND = memory.data<u32>([M0, M1, W0, W1], 16);

/** What the words become: known when compiled, so that only one branch is left in each kernel. */
const UNIFORM: i32 = 0;
const DROPOUT: i32 = 1;

/** y = low + (high - low)·u, u the upper 24 bits of the element's word as a number in [0, 1). */
export function randomUniform(n: i32, seedLo: i32, seedHi: i32, stream: i32, layer: i32, step: i32, low: f64, high: f64, y: usize): void {
  if (!ASC_NO_ASSERT) vector('randomUniform: y', y, n);
  draw(UNIFORM, n, seedLo, seedHi, stream, layer, step, f64x2.splat(low), f64x2.splat(high - low), 0, 0, y);
}

/** y (+)= x·(mask/(1-p)); an element is kept where its u >= p. As in PyTorch, NaN and infinity times 0 are NaN. */
export function dropout(n: i32, seedLo: i32, seedHi: i32, stream: i32, layer: i32, step: i32, p: f64, x: usize, accumulate: i32, y: usize): void {
  if (!ASC_NO_ASSERT) {
    vector('dropout: x', x, n);
    vector('dropout: y', y, n);
  }
  const factor: f32 = p < 1 ? <f32>(1 / (1 - p)) : 0;
  // u = word / 2^24 >= p where the whole word is at least p·2^24, rounded up.
  const least = <i32>Math.ceil(p * 16777216);
  draw(DROPOUT, n, seedLo, seedHi, stream, layer, step, i32x4.splat(least), f32x4.splat(factor), x, accumulate, y);
}

// @ts-ignore: decorator
@inline
function draw(kind: i32, n: i32, k0: i32, k1: i32, stream: i32, layer: i32, step: i32, a: v128, b: v128, x: usize, accumulate: i32, y: usize): void {
  let i = 0;
  for (; i <= n - 16; i += 16, x += 64, y += 64) drawSixteen(kind, <u32>i >> 2, step, layer, stream, k0, k1, a, b, x, accumulate, y);
  let w = i32x4.splat(0);
  for (; i < n; i++, x += 4, y += 4) {
    w = (i & 3) === 0 ? words(<u32>i >> 2, step, layer, stream, k0, k1) : v128.shuffle<i32>(w, w, 1, 2, 3, 0);
    const v = f32x4.extract_lane(valueOf(kind, w, a, b, kind === DROPOUT ? v128.load32_splat(x) : w), 0);
    store<f32>(y, accumulate ? load<f32>(y) + v : v);
  }
}

// @ts-ignore: decorator
@inline
function drawSixteen(kind: i32, first: u32, step: u32, layer: u32, stream: u32, k0: u32, k1: u32, a: v128, b: v128, x: usize, accumulate: i32, y: usize): void {
  let c0 = i32x4.add(i32x4.splat(first), i32x4(0, 1, 2, 3));
  let c1 = i32x4.splat(step);
  let c2 = i32x4.splat(layer);
  let c3 = i32x4.splat(stream);
  let key0 = i32x4.splat(k0);
  let key1 = i32x4.splat(k1);
  for (let round = 0; round < 10; round++) {
    const m0 = constant(ROUND, 0);
    const m1 = constant(ROUND, 1);
    const p0 = i64x2.extmul_low_i32x4_u(c0, m0);
    const q0 = i64x2.extmul_high_i32x4_u(c0, m0);
    const p1 = i64x2.extmul_low_i32x4_u(c2, m1);
    const q1 = i64x2.extmul_high_i32x4_u(c2, m1);
    c0 = v128.xor(v128.xor(v128.shuffle<i32>(p1, q1, 1, 3, 5, 7), c1), key0);
    c2 = v128.xor(v128.xor(v128.shuffle<i32>(p0, q0, 1, 3, 5, 7), c3), key1);
    c1 = v128.shuffle<i32>(p1, q1, 0, 2, 4, 6);
    c3 = v128.shuffle<i32>(p0, q0, 0, 2, 4, 6);
    key0 = i32x4.add(key0, constant(ROUND, 2));
    key1 = i32x4.add(key1, constant(ROUND, 3));
  }
  // From a vector a word to a vector a counter: the order of the elements.
  const low01 = v128.shuffle<i32>(c0, c1, 0, 4, 1, 5);
  const low23 = v128.shuffle<i32>(c2, c3, 0, 4, 1, 5);
  const high01 = v128.shuffle<i32>(c0, c1, 2, 6, 3, 7);
  const high23 = v128.shuffle<i32>(c2, c3, 2, 6, 3, 7);
  put(kind, v128.shuffle<i64>(low01, low23, 0, 2), a, b, x, accumulate, y);
  put(kind, v128.shuffle<i64>(low01, low23, 1, 3), a, b, x + 16, accumulate, y + 16);
  put(kind, v128.shuffle<i64>(high01, high23, 0, 2), a, b, x + 32, accumulate, y + 32);
  put(kind, v128.shuffle<i64>(high01, high23, 1, 3), a, b, x + 48, accumulate, y + 48);
}

// @ts-ignore: decorator
@inline
function put(kind: i32, w: v128, a: v128, b: v128, x: usize, accumulate: i32, y: usize): void {
  const v = valueOf(kind, w, a, b, kind === DROPOUT ? v128.load(x) : w);
  v128.store(y, accumulate ? f32x4.add(v128.load(y), v) : v);
}

/** Of four words: a + b·u in f64, or x·b where the upper 24 bits are at least a, else x·0. */
// @ts-ignore: decorator
@inline
function valueOf(kind: i32, w: v128, a: v128, b: v128, x: v128): v128 {
  const bits = i32x4.shr_u(w, 8);
  if (kind === DROPOUT) return f32x4.mul(x, v128.and(b, i32x4.ge_s(bits, a)));
  const low = scaled(bits, a, b);
  const high = scaled(v128.shuffle<i32>(bits, bits, 2, 3, 0, 1), a, b);
  return v128.shuffle<f32>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 1, 4, 5);
}

// @ts-ignore: decorator
@inline
function scaled(bits: v128, a: v128, b: v128): v128 {
  const u = f64x2.mul(f64x2.convert_low_i32x4_s(bits), f64x2.splat(1.0 / 16777216.0));
  return f64x2.add(a, f64x2.mul(b, u));
}

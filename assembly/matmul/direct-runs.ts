// A row of x times one row of a weight in the blocks that direct.ts does not mask in place: those with fifth bits, and those of 256. The
// numbers of 16 elements become bytes as they do for expansion, and are met by x where they stand: a lane's four bytes are
// multiples of 1, 256, 65536 and, shifted down, 1 again, by which x is divided. Scales and minima of four blocks are made at once.
import { fifth } from '../blocks/small';
import { nibbleMinima, nibbleNumbers, nibbleScales, sixBitNumbers, sixBitScales } from '../blocks/large';
import { blockBytes, blockElements, hasMinimum, nibblesAt, Q4_K, Q5_0, Q5_1, Q5_K } from '../blocks/types';
import { halves } from '../halves';
import { constant, fourByFour, hsum, madd } from '../simd';

/** Bytes of a lane, a nibble of each byte, a half in a lane; 1/256 and 1/65536; what Q5_0 and Q6_K subtract from a number. */
const MASKS = memory.data<u32>([0xff, 0xff00, 0xff0000, 0x0f0f0f0f, 0xffff]);
const FACTORS = memory.data<f32>([0.00390625, 0.0000152587890625, -16, -32]);

/** Blocks of a row, in whole fours: the sums of x over run j of every block stand together. */
// @ts-ignore: decorator
@inline
function columnsOf(type: i32, K: i32): usize {
  return <usize>((K / blockElements(type) + 3) & ~3);
}

/** Bytes of the sums of x. */
export function sumsBytes(type: i32, K: i32): usize {
  return (columnsOf(type, K) * <usize>(blockElements(type) >> 4)) << 2;
}

/** x laid out, sixteen elements by sixteen, and its sums over every sixteen: [run of 16 in a block][block], 0 behind the last block. */
export function layOutRuns(type: i32, K: i32, x: usize, out: usize, sums: usize): void {
  const columns = columnsOf(type, K);
  const each = blockElements(type) >> 4;
  memory.fill(sums, 0, sumsBytes(type, K));
  for (let k = 0; k < K >> 4; k++, x += 64, out += 64) {
    const a = v128.load(x);
    const b = v128.load(x, 16);
    const c = v128.load(x, 32);
    const d = v128.load(x, 48);
    fourByFour(a, b, c, d, 0, out, 16);
    v128.store(out, f32x4.mul(v128.load(out, 16), constant(FACTORS, 0)), 16);
    v128.store(out, f32x4.mul(v128.load(out, 32), constant(FACTORS, 1)), 32);
    store<f32>(sums + ((<usize>(k % each) * columns + <usize>(k / each)) << 2), hsum(f32x4.add(f32x4.add(a, b), f32x4.add(c, d))));
  }
}

/** Σ of 16 numbers times those of x. */
// @ts-ignore: decorator
@inline
function sumOf(numbers: v128, x: usize): v128 {
  const low = f32x4.mul(f32x4.convert_i32x4_s(v128.and(numbers, constant(MASKS, 0))), v128.load(x));
  const two = madd(f32x4.convert_i32x4_s(v128.and(numbers, constant(MASKS, 1))), v128.load(x, 16), low);
  const three = madd(f32x4.convert_i32x4_s(v128.and(numbers, constant(MASKS, 2))), v128.load(x, 32), two);
  return madd(f32x4.convert_i32x4_s(i32x4.shr_u(numbers, 24)), v128.load(x, 48), three);
}

/** Σ over a row of the weight; x and its sums as `layOutRuns` leaves them. */
export function rowSum(type: i32, K: i32, x: usize, sums: usize, w: usize): f32 {
  if (type === Q5_0) return smallRow(Q5_0, K, x, sums, w);
  if (type === Q5_1) return smallRow(Q5_1, K, x, sums, w);
  const columns = columnsOf(type, K) << 2;
  let total: f32 = 0;
  for (let run = 0; run < 8; run++, x += 128, sums += 2 * columns) {
    if (type === Q4_K) total += nibbleRow(Q4_K, K, run, x, sums, columns, w);
    else if (type === Q5_K) total += nibbleRow(Q5_K, K, run, x, sums, columns, w);
    else total += sixBitRow(K, run, x, sums, columns, w);
  }
  return total;
}

// @ts-ignore: decorator
@inline
function turned(v: v128): v128 {
  return v128.shuffle<f32>(v, v, 1, 2, 3, 0);
}

// @ts-ignore: decorator
@inline
function firstOf(v: v128): v128 {
  return v128.shuffle<f32>(v, v, 0, 0, 0, 0);
}

function smallRow(type: i32, K: i32, x: usize, sums: usize, w: usize): f32 {
  const bytes = <usize>blockBytes(type);
  const columns = columnsOf(type, K) << 2;
  const low = constant(MASKS, 3);
  let total = f32x4.splat(0);
  let minimum = f32x4.splat(0);
  for (let left = K >> 5; left > 0; left -= 4, sums += 16) {
    const w1 = left > 1 ? w + bytes : w;
    const w2 = left > 2 ? w1 + bytes : w1;
    const w3 = left > 3 ? w2 + bytes : w2;
    const heads = v128.load32_lane(w3, v128.load32_lane(w2, v128.load32_lane(w1, v128.load32_zero(w), 1), 2), 3);
    let scales = halves(v128.and(heads, constant(MASKS, 4)));
    const minima = hasMinimum(type) ? halves(i32x4.shr_u(heads, 16)) : f32x4.mul(scales, constant(FACTORS, 2));
    minimum = madd(minima, f32x4.add(v128.load(sums), v128.load(sums + columns)), minimum);
    for (let i = min(left, 4); i > 0; i--, w += bytes, x += 128) {
      const nibbles = v128.load(w + nibblesAt(type));
      const fifths = v128.load32_splat(w + nibblesAt(type) - 4);
      const first = sumOf(v128.or(v128.and(nibbles, low), fifth(fifths)), x);
      const second = sumOf(v128.or(v128.and(i16x8.shr_u(nibbles, 4), low), fifth(i32x4.shr_u(fifths, 16))), x + 64);
      total = madd(firstOf(scales), f32x4.add(first, second), total);
      scales = turned(scales);
    }
  }
  return hsum(f32x4.add(total, minimum));
}

/** Run j of every block of a row of Q4_K or Q5_K. */
// @ts-ignore: decorator
@inline
function nibbleRow(type: i32, K: i32, run: i32, x: usize, sums: usize, columns: usize, w: usize): f32 {
  const bytes = <usize>blockBytes(type);
  let total = f32x4.splat(0);
  let minimum = f32x4.splat(0);
  for (let left = K >> 8; left > 0; left -= 4, sums += 16) {
    const w1 = left > 1 ? bytes : 0;
    const w2 = left > 2 ? w1 + bytes : w1;
    const w3 = left > 3 ? w2 + bytes : w2;
    let scales = nibbleScales(run, w, w1, w2, w3);
    minimum = madd(nibbleMinima(run, w, w1, w2, w3), f32x4.add(v128.load(sums), v128.load(sums + columns)), minimum);
    for (let i = min(left, 4); i > 0; i--, w += bytes, x += 1024) {
      const both = f32x4.add(sumOf(nibbleNumbers(type, run, w, 0), x), sumOf(nibbleNumbers(type, run, w, 16), x + 64));
      total = madd(firstOf(scales), both, total);
      scales = turned(scales);
    }
  }
  return hsum(f32x4.add(total, minimum));
}

/** Run j of every block of a row of Q6_K. */
// @ts-ignore: decorator
@inline
function sixBitRow(K: i32, run: i32, x: usize, sums: usize, columns: usize, w: usize): f32 {
  let total = f32x4.splat(0);
  let minimum = f32x4.splat(0);
  for (let left = K >> 8; left > 0; left -= 4, sums += 16) {
    const w1: usize = left > 1 ? 210 : 0;
    const w2: usize = left > 2 ? w1 + 210 : w1;
    const w3: usize = left > 3 ? w2 + 210 : w2;
    let first = sixBitScales(run, 0, w, w1, w2, w3);
    let second = sixBitScales(run, 16, w, w1, w2, w3);
    minimum = madd(first, v128.load(sums), madd(second, v128.load(sums + columns), minimum));
    for (let i = min(left, 4); i > 0; i--, w += 210, x += 1024) {
      total = madd(firstOf(first), sumOf(sixBitNumbers(run, w, 0), x), total);
      total = madd(firstOf(second), sumOf(sixBitNumbers(run, w, 16), x + 64), total);
      first = turned(first);
      second = turned(second);
    }
  }
  return hsum(madd(constant(FACTORS, 3), minimum, total));
}

// Halves to f32, four at a time, by their bits: subnormal numbers never pass through a multiplication, which is slow for them; infinity
// and NaN stay. Called by weights.ts and blocks/, whose scales are halves.

/** Bits of a half: magnitude, exponent and what turns its exponent into that of an f32. Kept in memory for `load32_splat`. */
const HALF_BITS = memory.data<u32>([0x7fff, 0x0f800000, 0x38000000, 0x00800000, 0x38800000, 0x80000000]);

// @ts-ignore: decorator
@inline
function bits(index: usize): v128 {
  return v128.load32_splat(HALF_BITS + (index << 2));
}

/** Four halves, each in the low bits of a lane, the rest of which is 0. */
// @ts-ignore: decorator
@inline
export function halves(h: v128): v128 {
  const shifted = i32x4.shl(v128.and(h, bits(0)), 13);
  const power = v128.and(shifted, bits(1));
  const largest = v128.and(i32x4.eq(power, bits(1)), bits(2));
  const normal = i32x4.add(i32x4.add(shifted, bits(2)), largest);
  const subnormal = f32x4.sub(i32x4.add(normal, bits(3)), bits(4));
  const value = v128.bitselect(subnormal, normal, i32x4.eq(power, i32x4.splat(0)));
  return v128.or(value, v128.and(i32x4.shl(h, 16), bits(5)));
}

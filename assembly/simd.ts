// Multiply-add, horizontal sum, the transpose of four vectors. The only file that asks which SIMD level it is built for.

/** Whether multiply-adds are fused: what tiles and paths are chosen by. */
export const FUSED: bool = ASC_FEATURE_RELAXED_SIMD;

/** a·b + c: one rounding in the relaxed build where the processor fuses, two in the plain one. */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  return FUSED ? f32x4.relaxed_madd(a, b, c) : f32x4.add(f32x4.mul(a, b), c);
}

/**
 * The f32 at `index` of a table in memory, in every lane: one load. A splat of a literal becomes a v128.const, which V8 builds anew
 * in every turn of a loop from moves through a general register.
 */
// @ts-ignore: decorator
@inline
export function constant(table: usize, index: usize): v128 {
  return v128.load32_splat(table + (index << 2));
}

/** Sum of the four lanes, always as (0+2) + (1+3). */
// @ts-ignore: decorator
@inline
export function hsum(v: v128): f32 {
  const pair = f32x4.add(v, v128.shuffle<f32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(pair, 0) + f32x4.extract_lane(pair, 1);
}

/** Lanes 2 and 3 in f64. */
// @ts-ignore: decorator
@inline
export function promoteHigh(v: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<f32>(v, v, 2, 3, 0, 1));
}

/** y[j, i] (+)= a, b, c, d as row i of four, element j; yStep in bytes. */
// @ts-ignore: decorator
@inline
export function fourByFour(a: v128, b: v128, c: v128, d: v128, accumulate: i32, y: usize, yStep: usize): void {
  const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  putOrAdd(v128.shuffle<f32>(ab0, cd0, 0, 1, 4, 5), accumulate, y);
  putOrAdd(v128.shuffle<f32>(ab0, cd0, 2, 3, 6, 7), accumulate, y + yStep);
  putOrAdd(v128.shuffle<f32>(ab1, cd1, 0, 1, 4, 5), accumulate, y + 2 * yStep);
  putOrAdd(v128.shuffle<f32>(ab1, cd1, 2, 3, 6, 7), accumulate, y + 3 * yStep);
}

/** y[j, i] = a, b as row i of two, element j; yStep in bytes. */
// @ts-ignore: decorator
@inline
export function twoByFour(a: v128, b: v128, y: usize, yStep: usize): void {
  const low = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const high = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  v128.store64_lane(y, low, 0);
  v128.store64_lane(y + yStep, low, 1);
  v128.store64_lane(y + 2 * yStep, high, 0);
  v128.store64_lane(y + 3 * yStep, high, 1);
}

/** y (+)= v */
// @ts-ignore: decorator
@inline
function putOrAdd(v: v128, accumulate: i32, y: usize): void {
  v128.store(y, accumulate ? f32x4.add(v128.load(y), v) : v);
}

// Loops that measure the machine, not the package: the most multiply-adds a second in 128-bit registers, and the speed of reading
// memory. Thirteen chains keep both units busy, even where a step is a multiply and then an add and takes twice as long. Operands
// come from memory and every multiply depends on the one before, so that no compiler can move work out of the loop.

// @ts-ignore: decorator
@inline
function step(acc: v128, a: v128, b: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(acc, a, b) : f32x4.add(f32x4.mul(acc, a), b);
}

/** acc = acc·a + b, `count` times in each of 13 registers: 104 flops a turn. a and b lie at `from`, the sum goes to `to`. */
export function multiplyAdds(count: i32, from: usize, to: usize): void {
  const a = v128.load(from);
  const b = v128.load(from + 16);
  let c0 = v128.load(from + 32), c1 = c0, c2 = c0, c3 = c0, c4 = c0, c5 = c0;
  let c6 = v128.load(from + 48), c7 = c6, c8 = c6, c9 = c6, c10 = c6, c11 = c6, c12 = c6;
  // Distinct starts: equal chains would be one chain.
  c1 = f32x4.add(c1, a); c2 = f32x4.add(c1, a); c3 = f32x4.add(c2, a); c4 = f32x4.add(c3, a); c5 = f32x4.add(c4, a);
  c7 = f32x4.sub(c6, a); c8 = f32x4.sub(c7, a); c9 = f32x4.sub(c8, a); c10 = f32x4.sub(c9, a); c11 = f32x4.sub(c10, a); c12 = f32x4.sub(c11, a);
  for (let i = 0; i < count; i++) {
    c0 = step(c0, a, b); c1 = step(c1, a, b); c2 = step(c2, a, b); c3 = step(c3, a, b);
    c4 = step(c4, a, b); c5 = step(c5, a, b); c6 = step(c6, a, b); c7 = step(c7, a, b);
    c8 = step(c8, a, b); c9 = step(c9, a, b); c10 = step(c10, a, b); c11 = step(c11, a, b);
    c12 = step(c12, a, b);
  }
  c0 = f32x4.add(f32x4.add(c0, c1), f32x4.add(c2, c3));
  c4 = f32x4.add(f32x4.add(c4, c5), f32x4.add(c6, c7));
  c8 = f32x4.add(f32x4.add(c8, c9), f32x4.add(c10, c11));
  v128.store(to, f32x4.add(f32x4.add(c0, c12), f32x4.add(c4, c8)));
}

/** Sums `bytes` (a multiple of 128) of memory at `from`: eight chains, so that loads and not additions are the limit. */
export function readAll(bytes: i32, from: usize, to: usize): void {
  let s0 = v128.load(to), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  const end = from + <usize>bytes;
  for (; from < end; from += 128) {
    s0 = f32x4.add(s0, v128.load(from));
    s1 = f32x4.add(s1, v128.load(from, 16));
    s2 = f32x4.add(s2, v128.load(from, 32));
    s3 = f32x4.add(s3, v128.load(from, 48));
    s4 = f32x4.add(s4, v128.load(from, 64));
    s5 = f32x4.add(s5, v128.load(from, 80));
    s6 = f32x4.add(s6, v128.load(from, 96));
    s7 = f32x4.add(s7, v128.load(from, 112));
  }
  s0 = f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3));
  s4 = f32x4.add(f32x4.add(s4, s5), f32x4.add(s6, s7));
  v128.store(to, f32x4.add(s0, s4));
}

/** First free byte of linear memory. */
export function heapBase(): usize {
  return __heap_base;
}

// The gated activation between the products of a feed-forward layer: y = silu(gate) ⊙ up with silu(x) = x/(1 + e^-x) (Shazeer,
// arXiv 2002.05202), over n contiguous f32. The tail goes through a lane of the same arithmetic, so bits do not depend on position.
import { vectors } from '../checks';
import { exp4 } from '../nn/exp';

/** x/(1 + e^-x) */
// @ts-ignore: decorator
@inline
function silu4(x: v128): v128 {
  return f32x4.div(x, f32x4.add(f32x4.splat(1), exp4(f32x4.neg(x))));
}

/** y = silu(gate) ⊙ up; y may be either. */
export function swigluForward(n: i32, gate: usize, up: usize, y: usize): void {
  if (!ASC_NO_ASSERT) vectors('swigluForward: n; gate, up, y', n, gate, up, y);
  const end = y + ((<usize>n) << 2);
  for (; y + 32 <= end; y += 32, gate += 32, up += 32) {
    const first = silu4(v128.load(gate));
    const second = silu4(v128.load(gate, 16));
    v128.store(y, f32x4.mul(first, v128.load(up)));
    v128.store(y, f32x4.mul(second, v128.load(up, 16)), 16);
  }
  for (; y + 16 <= end; y += 16, gate += 16, up += 16) v128.store(y, f32x4.mul(silu4(v128.load(gate)), v128.load(up)));
  for (; y < end; y += 4, gate += 4, up += 4) store<f32>(y, f32x4.extract_lane(silu4(v128.load32_splat(gate)), 0) * load<f32>(up));
}

/** dup (+)= dy ⊙ silu(gate) */
export function swigluBackwardUp(n: i32, gate: usize, dy: usize, accumulate: i32, dup: usize): void {
  if (!ASC_NO_ASSERT) vectors('swigluBackwardUp: n; gate, dy, dup', n, gate, dy, dup);
  const end = dup + ((<usize>n) << 2);
  for (; dup + 16 <= end; dup += 16, gate += 16, dy += 16) {
    const g = f32x4.mul(v128.load(dy), silu4(v128.load(gate)));
    v128.store(dup, accumulate ? f32x4.add(v128.load(dup), g) : g);
  }
  for (; dup < end; dup += 4, gate += 4, dy += 4) {
    const g = load<f32>(dy) * f32x4.extract_lane(silu4(v128.load32_splat(gate)), 0);
    store<f32>(dup, accumulate ? load<f32>(dup) + g : g);
  }
}

/** silu'(x) = s·(1 + x·(1 - s)), s = 1/(1 + e^-x). */
// @ts-ignore: decorator
@inline
function siluSlope4(x: v128): v128 {
  const one = f32x4.splat(1);
  const s = f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(x))));
  return f32x4.mul(s, f32x4.add(one, f32x4.mul(x, f32x4.sub(one, s))));
}

/** dgate (+)= dy ⊙ up ⊙ silu'(gate) */
export function swigluBackwardGate(n: i32, gate: usize, up: usize, dy: usize, accumulate: i32, dgate: usize): void {
  if (!ASC_NO_ASSERT) vectors('swigluBackwardGate: n; gate, up, dy, dgate', n, gate, up, dy, dgate);
  const end = dgate + ((<usize>n) << 2);
  for (; dgate + 16 <= end; dgate += 16, gate += 16, up += 16, dy += 16) {
    const g = f32x4.mul(f32x4.mul(v128.load(dy), v128.load(up)), siluSlope4(v128.load(gate)));
    v128.store(dgate, accumulate ? f32x4.add(v128.load(dgate), g) : g);
  }
  for (; dgate < end; dgate += 4, gate += 4, up += 4, dy += 4) {
    const g = load<f32>(dy) * load<f32>(up) * f32x4.extract_lane(siluSlope4(v128.load32_splat(gate)), 0);
    store<f32>(dgate, accumulate ? load<f32>(dgate) + g : g);
  }
}

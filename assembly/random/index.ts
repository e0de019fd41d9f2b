// Random numbers of a counter-based generator: Philox4x32-10 (Salmon et al., SC 2011). Key (seedLo, seedHi), counter
// (element / 4, step, layer, stream); element i takes word i % 4. Nothing is remembered between calls.

import { vector } from '../checks';
import { words } from './philox';

export { dropout, randomUniform } from './draws';

/** The four words of a counter and key, to memory: for tests of the generator itself. */
export function philox(c0: u32, c1: u32, c2: u32, c3: u32, k0: u32, k1: u32, out: usize): void {
  if (!ASC_NO_ASSERT) vector('philox: out', out, 4);
  v128.store(out, words(c0, c1, c2, c3, k0, k1));
}

/** The words moved down by one lane. */
// @ts-ignore: decorator
@inline
function next(w: v128): v128 {
  return v128.shuffle<i32>(w, w, 1, 2, 3, 0);
}

/** Normal numbers by Box and Muller, in f64: two words give two numbers. */
export function randomNormal(n: i32, seedLo: i32, seedHi: i32, stream: i32, layer: i32, step: i32, std: f64, y: usize): void {
  if (!ASC_NO_ASSERT) vector('randomNormal: y', y, n);
  let w = i32x4.splat(0);
  for (let i = 0; i < n; i += 2) {
    w = (i & 3) === 0 ? words(<u32>i >> 2, step, layer, stream, seedLo, seedHi) : next(next(w));
    const radius = std * Math.sqrt(-2 * Math.log((<f64>(<u32>i32x4.extract_lane(w, 0)) + 0.5) * (1.0 / 4294967296.0)));
    const angle = 2 * Math.PI * (<f64>(<u32>i32x4.extract_lane(w, 1)) * (1.0 / 4294967296.0));
    store<f32>(y + ((<usize>i) << 2), <f32>(radius * Math.cos(angle)));
    if (i + 1 < n) store<f32>(y + ((<usize>i) << 2), <f32>(radius * Math.sin(angle)), 4);
  }
}

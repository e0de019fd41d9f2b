// Random numbers of a counter-based generator: Philox4x32-10 (Salmon et al., SC 2011). Key (seedLo, seedHi), counter
// (element / 4, step, layer, stream); element i takes word i % 4. Nothing is remembered between calls.

const M0: u64 = 0xd2511f53;
const M1: u64 = 0xcd9e8d57;

/** Ten rounds; gives the four words. */
function words(c0: u32, c1: u32, c2: u32, c3: u32, k0: u32, k1: u32): v128 {
  for (let round = 0; round < 10; round++) {
    const p0 = M0 * <u64>c0;
    const p1 = M1 * <u64>c2;
    const n0 = <u32>(p1 >> 32) ^ c1 ^ k0;
    const n2 = <u32>(p0 >> 32) ^ c3 ^ k1;
    c1 = <u32>p1;
    c3 = <u32>p0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9e3779b9;
    k1 += 0xbb67ae85;
  }
  return i32x4.replace_lane(i32x4.replace_lane(i32x4.replace_lane(i32x4.splat(c0), 1, c1), 2, c2), 3, c3);
}

/** The four words of a counter and key, to memory: for tests of the generator itself. */
export function philox(c0: u32, c1: u32, c2: u32, c3: u32, k0: u32, k1: u32, out: usize): void {
  v128.store(out, words(c0, c1, c2, c3, k0, k1));
}

/** The words moved down by one lane. */
// @ts-ignore: decorator
@inline
function next(w: v128): v128 {
  return v128.shuffle<i32>(w, w, 1, 2, 3, 0);
}

/** 24 bits of a word as a number in [0, 1). */
// @ts-ignore: decorator
@inline
function unit(word: u32): f64 {
  return <f64>(word >> 8) * (1.0 / 16777216.0);
}

/** y = low + (high - low)·u */
export function randomUniform(n: i32, seedLo: i32, seedHi: i32, stream: i32, layer: i32, step: i32, low: f64, high: f64, y: usize): void {
  let w = i32x4.splat(0);
  for (let i = 0; i < n; i++) {
    w = (i & 3) === 0 ? words(<u32>i >> 2, step, layer, stream, seedLo, seedHi) : next(w);
    const u = unit(i32x4.extract_lane(w, 0));
    store<f32>(y + ((<usize>i) << 2), <f32>(low + (high - low) * u));
  }
}

/** Normal numbers by Box and Muller, in f64: two words give two numbers. */
export function randomNormal(n: i32, seedLo: i32, seedHi: i32, stream: i32, layer: i32, step: i32, std: f64, y: usize): void {
  let w = i32x4.splat(0);
  for (let i = 0; i < n; i += 2) {
    w = (i & 3) === 0 ? words(<u32>i >> 2, step, layer, stream, seedLo, seedHi) : next(next(w));
    const radius = std * Math.sqrt(-2 * Math.log((<f64>(<u32>i32x4.extract_lane(w, 0)) + 0.5) * (1.0 / 4294967296.0)));
    const angle = 2 * Math.PI * (<f64>(<u32>i32x4.extract_lane(w, 1)) * (1.0 / 4294967296.0));
    store<f32>(y + ((<usize>i) << 2), <f32>(radius * Math.cos(angle)));
    if (i + 1 < n) store<f32>(y + ((<usize>i) << 2), <f32>(radius * Math.sin(angle)), 4);
  }
}

/** y (+)= x·mask/(1-p); an element is kept where its u >= p. */
export function dropout(n: i32, seedLo: i32, seedHi: i32, stream: i32, layer: i32, step: i32, p: f64, x: usize, accumulate: i32, y: usize): void {
  const factor: f32 = p < 1 ? <f32>(1 / (1 - p)) : 0;
  let w = i32x4.splat(0);
  for (let i = 0; i < n; i++) {
    const at = (<usize>i) << 2;
    w = (i & 3) === 0 ? words(<u32>i >> 2, step, layer, stream, seedLo, seedHi) : next(w);
    const value: f32 = unit(i32x4.extract_lane(w, 0)) >= p ? load<f32>(x + at) * factor : 0;
    store<f32>(y + at, accumulate ? load<f32>(y + at) + value : value);
  }
}

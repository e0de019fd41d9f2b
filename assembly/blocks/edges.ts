// Some elements of a row of blocks, one by one: what lies before and behind the whole runs of 32 that small.ts and large.ts expand.
// A value is scale·q, then plus the minimum, never fused, which is the order of ggml's reference. Called by index.ts.
import { blockBytes, blockElements, hasFifth, hasMinimum, nibblesAt, Q5_K, Q6_K, Q8_0 } from './types';

/** out[j] = the elements of a row at w from element `from` on, `columns` of them, from anywhere to anywhere. */
export function blockRow(type: i32, columns: i32, w: usize, from: i32, out: usize): void {
  const elements = blockElements(type);
  const bytes = blockBytes(type);
  for (let e = from, end = from + columns; e < end; ) {
    const count = min(16 - (e & 15), end - e);
    const block = w + <usize>(e / elements) * <usize>bytes;
    if (elements === 32) smallRun(type, block, e & 31, count, out);
    else largeRun(type, block, e & 255, count, out);
    e += count;
    out += (<usize>count) << 2;
  }
}

/** A half by its bits; infinity and NaN stay. */
function half(at: usize): f32 {
  const h = <u32>load<u16>(at);
  const sign = (h & 0x8000) << 16;
  const exponent = (h >> 10) & 31;
  const fraction = h & 1023;
  if (exponent === 0) return reinterpret<f32>(reinterpret<u32>(<f32>fraction * reinterpret<f32>(0x33800000)) | sign);
  return reinterpret<f32>(sign | ((exponent === 31 ? 255 : exponent + 112) << 23) | (fraction << 13));
}

/** Of blocks of 32: elements i to i + count, within one half of the block. */
function smallRun(type: i32, block: usize, i: i32, count: i32, out: usize): void {
  const d = half(block);
  if (type === Q8_0) {
    for (let k = i; k < i + count; k++, out += 4) store<f32>(out, d * <f32>load<i8>(block + <usize>k, 2));
    return;
  }
  const withMinimum = hasMinimum(type);
  const five = hasFifth(type);
  const shift = i >= 16 ? 4 : 0;
  const nibbles = block + nibblesAt(type);
  const bits: u32 = five ? load<u32>(nibbles - 4) : 0;
  const m: f32 = withMinimum ? half(block + 2) : 0;
  const zero = withMinimum ? 0 : five ? 16 : 8;
  for (let k = i; k < i + count; k++, out += 4) {
    const low = (<i32>load<u8>(nibbles + <usize>(k & 15)) >> shift) & 15;
    const q = (low | <i32>(((bits >> k) & 1) << 4)) - zero;
    const scaled = d * <f32>q;
    store<f32>(out, withMinimum ? scaled + m : scaled);
  }
}

/** Of blocks of 256: elements i to i + count, within a run of 16. */
function largeRun(type: i32, block: usize, i: i32, count: i32, out: usize): void {
  if (type === Q6_K) {
    const scale = half(block + 208) * <f32>load<i8>(block + <usize>(i >> 4), 192);
    for (let k = i; k < i + count; k++, out += 4) {
      const low = (<i32>load<u8>(block + <usize>(((k >> 7) << 6) + (k & 63))) >> (((k >> 6) & 1) << 2)) & 15;
      const high = (<i32>load<u8>(block + <usize>(((k >> 7) << 5) + (k & 31)), 128) >> (((k >> 5) & 3) << 1)) & 3;
      store<f32>(out, scale * <f32>((low | (high << 4)) - 32));
    }
    return;
  }
  const j = i >> 5;
  const scale = half(block) * <f32>sixBits(block + 4, j, 0);
  const minimum = half(block + 2) * <f32>sixBits(block + 4, j, 4);
  const five = type === Q5_K;
  const nibbles = block + (five ? 48 : 16);
  for (let k = i; k < i + count; k++, out += 4) {
    const low = (<i32>load<u8>(nibbles + <usize>(((k >> 6) << 5) + (k & 31))) >> ((j & 1) << 2)) & 15;
    const high = five ? ((<i32>load<u8>(block + <usize>(k & 31), 16) >> j) & 1) << 4 : 0;
    store<f32>(out, scale * <f32>(low | high) - minimum);
  }
}

/** Scale of run j of 32, or its minimum with `part` 4: the first four lie whole, the others in two parts. */
function sixBits(at: usize, j: i32, part: i32): i32 {
  if (j < 4) return <i32>load<u8>(at + <usize>(part + j)) & 63;
  const pair = <i32>load<u8>(at + <usize>(4 + j));
  return (part === 0 ? pair & 15 : pair >> 4) | ((<i32>load<u8>(at + <usize>(part + j - 4)) >> 6) << 4);
}

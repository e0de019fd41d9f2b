/** Numbers from U(-scale, scale), the same for the same seed on every engine. */
export function randomArray(length: number, seed: number, scale = 1): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length }, () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return scale * (((bits ^ (bits >>> 14)) >>> 0) / 2 ** 31 - 1);
  });
}

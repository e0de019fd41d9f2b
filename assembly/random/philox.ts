// Philox4x32-10 (Salmon et al., SC 2011): ten rounds over a counter of four words with a key of two.

export const M0: u32 = 0xd2511f53;
export const M1: u32 = 0xcd9e8d57;
/** What the key's words grow by from round to round. */
export const W0: u32 = 0x9e3779b9;
export const W1: u32 = 0xbb67ae85;

/** The four words of one counter. */
export function words(c0: u32, c1: u32, c2: u32, c3: u32, k0: u32, k1: u32): v128 {
  for (let round = 0; round < 10; round++) {
    const p0 = <u64>M0 * <u64>c0;
    const p1 = <u64>M1 * <u64>c2;
    const n0 = <u32>(p1 >> 32) ^ c1 ^ k0;
    const n2 = <u32>(p0 >> 32) ^ c3 ^ k1;
    c1 = <u32>p1;
    c3 = <u32>p0;
    c0 = n0;
    c2 = n2;
    k0 += W0;
    k1 += W1;
  }
  return i32x4.replace_lane(i32x4.replace_lane(i32x4.replace_lane(i32x4.splat(c0), 1, c1), 2, c2), 3, c3);
}

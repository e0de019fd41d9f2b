/** The random words of the kernels, by Philox 4x32 of ten rounds as its authors describe it (Salmon et al., 2011). */

const MULTIPLIERS = [0xd2511f53n, 0xcd9e8d57n] as const;
const KEY_STEPS = [0x9e3779b9, 0xbb67ae85] as const;

/** What a draw is told by: two words of a key, and three of the counter, whose first counts four words each. */
export type PhiloxSeed = readonly [k0: number, k1: number, stream: number, layer: number, step: number];

/** Word i of the stream. */
export function philoxWord([k0, k1, stream, layer, step]: PhiloxSeed, i: number): number {
  let c = [i >> 2, step, layer, stream].map((word) => word >>> 0);
  for (let round = 0; round < 10; round++) {
    const first = MULTIPLIERS[0] * BigInt(c[0]!);
    const second = MULTIPLIERS[1] * BigInt(c[2]!);
    c = [
      (Number(second >> 32n) ^ c[1]! ^ (k0 + KEY_STEPS[0] * round)) >>> 0,
      Number(second & 0xffffffffn),
      (Number(first >> 32n) ^ c[3]! ^ (k1 + KEY_STEPS[1] * round)) >>> 0,
      Number(first & 0xffffffffn),
    ];
  }
  return c[i & 3]!;
}

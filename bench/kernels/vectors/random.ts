/** Random numbers and dropout: ten rounds of integer products for every four elements, whatever memory could do. */
import { one, type VectorKernel } from './kernel.js';

/** Sixteen elements: 14 operations on vectors a round, 8 to put the words in order. */
const PHILOX = (10 * 14 + 8) / 4;
const SEED = [1, 0, 2, 3, 4] as const;
const MULTIPLIERS = [0xd2511f53n, 0xcd9e8d57n] as const;
const KEY_STEPS = [0x9e3779b9, 0xbb67ae85] as const;

/** Word i of the stream, as the generator's authors describe it. */
function wordAt(i: number): number {
  const [k0, k1, stream, layer, step] = SEED;
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

const unit = (word: number): number => (word >>> 8) / 2 ** 24;

export const RANDOM: readonly VectorKernel[] = [
  {
    operation: 'dropout',
    moves: 2,
    flops: PHILOX + 4,
    run: (k, [x, y], _, N) => k.dropout(N, ...SEED, 0.1, x!, 0, y!),
    value: ([x], i) => one(unit(wordAt(i)) >= 0.1 ? x![i]! / 0.9 : 0),
    out: 1,
  },
  {
    operation: 'randomUniform',
    moves: 1,
    flops: PHILOX + 13,
    run: (k, [y], _, N) => k.randomUniform(N, ...SEED, 0, 2, y!),
    value: (_, i) => one(2 * unit(wordAt(i))),
    out: 0,
  },
  {
    operation: 'randomNormal',
    moves: 1,
    // One number at a time: 25 operations for its word, half a logarithm (25) and root (12), a sine or cosine (30), each of which
    // takes the place of a vector's.
    flops: 4 * (25 + 37 / 2 + 30),
    run: (k, [y], _, N) => k.randomNormal(N, ...SEED, 1, y!),
    value: (_, i) => {
      const radius = Math.sqrt(-2 * Math.log((wordAt(i & ~1) + 0.5) / 2 ** 32));
      const angle = (2 * Math.PI * wordAt(i | 1)) / 2 ** 32;
      return (add) => add(radius, (i & 1) === 0 ? Math.cos(angle) : Math.sin(angle));
    },
    out: 0,
  },
];

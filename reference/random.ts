/** Random numbers of a seed, the same on every engine (mulberry32): what tests and the benchmark draw from. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    const state = this.#state;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `low` to `high`. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** One of the numbers from 0 to `count` - 1. */
  below(count: number): number {
    return this.integer(0, count - 1);
  }

  choose<T>(options: readonly T[]): T {
    return options[this.below(options.length)]!;
  }

  /** A seed for others. */
  seed(): number {
    return this.integer(0, 2 ** 31 - 1);
  }
}

/** Numbers from U(-scale, scale), the same for the same seed on every engine. */
export function randomArray(length: number, seed: number, scale = 1): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length }, () => scale * (2 * random.next() - 1));
}

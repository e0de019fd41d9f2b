/** What the sections of `npm run test:hostile` share: rows of its table, and random numbers that a seed repeats. */

/** A line of the table. */
export interface Row {
  readonly what: string;
  /** What was tried, and how often. */
  readonly tried: string;
  /** What did not hold; empty where everything did. */
  readonly faults: readonly string[];
  /** The worst figures seen. */
  readonly worst: string;
}

/** What a section works with. */
export interface Work {
  /** Whether there is time for another try. */
  readonly more: () => boolean;
  /** Milliseconds of the whole section. */
  readonly time: number;
  readonly random: Random;
}

/** A part of the run; its time is its share of the whole. */
export interface Section {
  readonly name: string;
  readonly share: number;
  readonly run: (work: Work) => Promise<Row[]>;
}

/** Random numbers of a seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `low` to `high`. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  choose<T>(options: readonly T[]): T {
    return options[this.integer(0, options.length - 1)]!;
  }

  /** A seed for others. */
  seed(): number {
    return this.integer(0, 2 ** 31 - 1);
  }
}

/** The first line of an error, whatever was thrown. */
export function said(error: unknown): string {
  return error instanceof Error
    ? `${error.name}: ${error.message.split('\n')[0]}`.slice(0, 300)
    : String(error);
}

export function milliseconds(value: number): string {
  return value < 1000 ? `${value.toFixed(value < 10 ? 1 : 0)} ms` : `${(value / 1000).toFixed(1)} s`;
}

/** What the sections of `npm run test:hostile` share: rows of its table, and words of errors and times. */
import type { Random } from '../../reference/random.js';

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

/** The first line of an error, whatever was thrown. */
export function said(error: unknown): string {
  return error instanceof Error
    ? `${error.name}: ${error.message.split('\n')[0]}`.slice(0, 300)
    : String(error);
}

export function milliseconds(value: number): string {
  return value < 1000 ? `${value.toFixed(value < 10 ? 1 : 0)} ms` : `${(value / 1000).toFixed(1)} s`;
}

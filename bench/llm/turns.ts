/** Contestants that take turns, with the ceiling measured at both ends of each turn; and the rows of their figures. */
import { pairedRatio, summarise } from '../core/measure.js';
import { ownRow, type Range, type Row } from '../core/records.js';
import type { SharedCeiling } from '../core/shared-ceiling.js';
import { PLAIN, STORED } from './contestants.js';

/** A row that is held against ceilings of its own rounds. */
export interface CeilingRow extends Row {
  /** GFLOP/s of the build's register-only loop in each round, all threads of the row at work; none of who is not held against it. */
  readonly ceilings: number[];
}

/** A row of the whole model. */
export interface ModelRow extends CeilingRow {
  readonly tokens: number;
  /** Of a contestant that is not this package: what it is. */
  readonly version?: string;
  /** Of a process of its own: most bytes that lay in its memory. */
  readonly resident?: number;
}

export const hasCeilings = (row: Row): row is CeilingRow => 'ceilings' in row;
export const isModelRow = (row: Row): row is ModelRow => 'tokens' in row;

/** Tokens a second in each round. */
export const speedsOf = ({ tokens, rounds }: ModelRow): number[] => rounds.map((ms) => (1000 * tokens) / ms);
/** Percent of the ceiling of its own round, in each. */
export const percentsOf = ({ gflops, median, rounds, ceilings }: CeilingRow): number[] =>
  ceilings.map((ceiling, i) => (100 * gflops * median) / rounds[i]! / ceiling);

/** A row with the ceilings of its rounds; without a percentage where there are none. */
export function besideCeilings<R extends Row>(row: R, ceilings: number[]): R & CeilingRow {
  const own = { ...row, ceilings };
  return ceilings.length === 0 ? own : { ...own, percentOfCeiling: summarise(percentsOf(own)).median };
}

/** The fastest round's percentage of its own ceiling: a ceiling that noise pushed down for a moment flatters no other. */
export const bestPercent = (row: CeilingRow): number => percentsOf(row)[row.rounds.indexOf(row.min)]!;

export const modelShape = (tokens: number, threads: number): string =>
  `${tokens} tokens, ${threads === 1 ? '1 thread' : `${threads} threads`}`;
export const modelTitle = (operation: string, weights: string): string => `${operation}, ${weights}`;

interface TakesPart {
  readonly ceiling: SharedCeiling | null;
}

/** What one contestant did in each round. */
interface Turns<C, Result> {
  readonly of: C;
  readonly results: Result[];
  readonly ceilings: number[];
}

/**
 * Rounds over all contestants, the order reversed every round. A round's ceiling is the higher of those before and behind the turn:
 * what pushes the short one down for a moment does not flatter the long turn.
 */
export async function takeTurns<C extends TakesPart, Result>(
  contestants: readonly C[],
  rounds: number,
  progress: (round: string) => void,
  work: (contestant: C) => Promise<Result>,
): Promise<Turns<C, Result>[]> {
  const all = contestants.map((of): Turns<C, Result> => ({ of, results: [], ceilings: [] }));
  // One round before the first is no figure: the engine's best compiler sees all.
  for (let round = -1; round < rounds; round++) {
    progress(`round ${round + 1} of ${rounds}`);
    for (const { of, results, ceilings } of round % 2 === 0 ? all : [...all].reverse()) {
      const before = of.ceiling?.measure();
      const result = await work(of);
      const after = of.ceiling?.measure();
      if (round < 0) continue;
      results.push(result);
      if (before !== undefined && after !== undefined) ceilings.push(Math.max(before, after));
    }
  }
  return all;
}

/** What of a contestant its row states. */
export interface Ran {
  readonly rt: { info(): { readonly kernels: string; readonly threads: number } };
  readonly weights: string;
}

/** A contestant's row: `flops` are those of a token. */
export function modelRow(
  { rt, weights }: Ran,
  operation: string,
  tokens: number,
  { timing, ceilings, flops }: { timing: Range; ceilings: number[]; flops: number },
  more: Partial<ModelRow> = {},
): ModelRow {
  const at = [modelTitle(operation, weights), modelShape(tokens, rt.info().threads)] as const;
  return besideCeilings({ ...ownRow(rt, at, timing, tokens * flops, null, more), tokens }, ceilings);
}

/** Of whoever runs over the weights as stored on one thread: its time over that of float32. */
export function againstPlain(
  { rt, weights }: Ran,
  operation: string,
  own: Range,
  plain: Range,
): Partial<Row> {
  if (weights !== STORED || rt.info().threads > 1) return {};
  return { ratio: pairedRatio(own, plain), flopRatio: 1, ratioTo: modelTitle(operation, PLAIN) };
}

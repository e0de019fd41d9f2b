/** What two checkouts' times say: ratios of rounds that are neighbours, and which of them are losses. `main.ts` prints it. */
import { pairedRatios, summarise } from '../core/measure.js';
import type { Range } from '../core/records.js';

/** Below this the median ratio is a loss, where the times of both do not overlap either. */
const LOSS = 0.97;

/** One process's milliseconds a call, by name. */
export type Times = Readonly<Record<string, number>>;

export interface Line {
  readonly name: string;
  readonly was: Range;
  readonly is: Range;
  /** Times as fast as before. */
  readonly ratio: Range;
  readonly lost: boolean;
}

/** A line for each name that every round of both has; `missing` are the others. */
export function compareTimes(
  before: readonly Times[],
  now: readonly Times[],
): { lines: Line[]; missing: string[] } {
  const all = [...before, ...now];
  const names = [...new Set(all.flatMap(Object.keys))];
  const everywhere = (name: string): boolean => all.every((times) => Number.isFinite(times[name]));
  const lines = names.filter(everywhere).map((name): Line => {
    const [was, is] = [before, now].map((rounds) => summarise(rounds.map((times) => times[name]!))) as [
      Range,
      Range,
    ];
    const ratio = pairedRatios(was, is);
    return { name, was, is, ratio, lost: ratio.median < LOSS && was.max < is.min };
  });
  return { lines, missing: names.filter((name) => !everywhere(name)) };
}

/** The last line of a comparison. */
export function verdictOf(lines: readonly Line[]): string {
  const lost = lines.filter((line) => line.lost).map(({ name }) => name);
  return lost.length === 0 ? 'no loss' : `${lost.length} of ${lines.length} lost: ${lost.join('; ')}`;
}

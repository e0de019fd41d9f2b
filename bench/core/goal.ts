/** A promise held against the rows of a run, and the tables of them. */
import { markdownTable } from './markdown.js';
import type { Range, Report } from './records.js';
import { headOf, ratioText } from './table.js';

export interface Goal {
  readonly goal: string;
  readonly limit: string;
  /** Null where the run did not measure it. */
  readonly measured: string | null;
  readonly met: boolean | null;
}

/** @param result - what was measured, and whether that is enough; null where it was not */
export function goalOf(
  goal: string,
  limit: string,
  result: Pick<Goal, 'measured' | 'met'> | null | undefined,
): Goal {
  return { goal, limit, ...(result ?? { measured: null, met: null }) };
}

/** A ratio that must not exceed a limit. */
export function atMost(goal: string, ratio: Omit<Range, 'rounds'> | null, limit: number): Goal {
  return goalOf(
    goal,
    `at most ${limit}`,
    ratio && { measured: ratioText(ratio, 3), met: ratio.median <= limit },
  );
}

export function goalCells({ goal, limit, measured, met }: Goal): string[] {
  return [goal, limit, measured ?? 'not measured', met === null ? '' : met ? 'yes' : 'no'];
}

/** Several engines side by side: a line a goal, an engine a column, met or missed with what was measured. */
export function goalsSummary(
  reports: readonly Report[],
  goalsOf: (report: Report) => readonly Goal[],
): string {
  const heads = reports.map(headOf);
  const columns = reports.map(goalsOf);
  const names = [...new Set(columns.flat().map(({ goal }) => goal))];
  const lines = names.map((name) => {
    const goals = columns.map((column) => column.find(({ goal }) => goal === name));
    return [name, limitText(goals, heads), ...goals.map(verdict)];
  });
  return markdownTable(['goal', 'limit', ...heads], lines);
}

/** The limit, or each with the engines that it is set for. */
function limitText(goals: readonly (Goal | undefined)[], heads: readonly string[]): string {
  const engines = new Map<string, string[]>();
  goals.forEach((goal, i) => {
    if (goal !== undefined) engines.set(goal.limit, [...(engines.get(goal.limit) ?? []), heads[i]!]);
  });
  if (engines.size === 1) return [...engines.keys()].join();
  return [...engines].map(([limit, names]) => `${limit} (${names.join(', ')})`).join('; ');
}

function verdict(goal: Goal | undefined): string {
  if (goal === undefined || goal.measured === null) return 'not measured';
  return `${goal.met === true ? 'met' : '**missed**'}: ${goal.measured}`;
}

/** The README's tables of goals: a line a goal, an engine a column, met or missed with what was measured. */
import type { Goal } from '../goals.js';
import { markdownTable } from '../readme-tables.js';
import type { Report } from '../records.js';
import { headOf } from './engines.js';

/** In Markdown. `goalsOf` holds one report against its goals. */
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

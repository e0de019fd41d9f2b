/** The whole model in Markdown: the table that a section begins with, and the README's three rows. */
import { markdownTable } from '../core/markdown.js';
import { summarise } from '../core/measure.js';
import { PACKAGE, type Report } from '../core/records.js';
import { figure, headOf, rangeText } from '../core/table.js';
import { STORED } from './contestants.js';
import { GENERATION, PROMPT } from './model.js';
import { TRAINING } from './training.js';
import { bestPercent, isModelRow, type ModelRow, modelTitle, speedsOf } from './turns.js';

/** A line a row: its fastest round first. */
export function modelTable({ rows }: Pick<Report, 'rows'>): string {
  const head = ['tokens a second', 'threads', 'fastest', '% of ceiling', 'median (range)', 'MB'];
  const lines = rows
    .filter(isModelRow)
    .map((row) => [
      row.contestant === PACKAGE ? row.operation : `${row.operation}, ${row.contestant} (${row.version})`,
      String(row.threads),
      figure(Math.max(...speedsOf(row))),
      row.ceilings.length === 0 ? '' : bestPercent(row).toFixed(0),
      rangeText(summarise(speedsOf(row))),
      row.resident === undefined ? '' : (row.resident / 1e6).toFixed(0),
    ]);
  return lines.length === 0 ? '' : markdownTable(head, lines);
}

/** Training, prompt and generation, an engine a column; nothing where none was measured. */
export function readmeTable(reports: readonly Report[]): string {
  const measured = reports.filter(({ rows }) => rows.some(isModelRow));
  if (measured.length === 0) return '';
  const cellOf = ({ rows }: Report, operation: string): string =>
    rows
      .filter(isModelRow)
      .filter((row) => row.contestant === PACKAGE && row.operation === modelTitle(operation, STORED))
      .sort((a, b) => a.threads - b.threads)
      .map(speedText)
      .join('; ');
  const lines = [TRAINING, PROMPT, GENERATION].map((operation) => [
    operation,
    ...measured.map((report) => cellOf(report, operation)),
  ]);
  return markdownTable(['tokens a second, 1 thread; 2 threads', ...measured.map(headOf)], lines);
}

const speedText = (row: ModelRow): string =>
  `${figure(Math.max(...speedsOf(row)))} (${bestPercent(row).toFixed(0)} %)`;

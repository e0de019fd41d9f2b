/** What the summaries share: one suite's results, an engine a column, and its charts. */
import { chartLine } from '../readme-tables.js';
import { PACKAGE, type Report } from '../records.js';
import { ceilingsText } from '../table.js';

/** An engine's column: its name and main version. */
export function headOf({ engine }: Report): string {
  return /^\S+ \d+/.exec(engine)?.[0] ?? engine;
}

/** What each engine ran, where and when, as a list. */
export function machinesSummary(reports: readonly Report[]): string {
  return reports
    .map((report) => {
      const kernels = report.rows.find(({ contestant }) => contestant === PACKAGE)?.kernels ?? 'no';
      const made = `${report.date}, commit ${report.commit.slice(0, 7)}`;
      return `- ${report.engine}, ${kernels} kernels: ${report.cpu}; ${ceilingsText(report)} of one thread; ${made}.`;
    })
    .join('\n');
}

/** Where each engine's chart lies. */
export function chartsSummary(results: readonly [file: string, report: Report][], shown: string): string {
  return results.map(([file, report]) => `- ${chartLine(`${shown} in ${report.engine}`, file)}`).join('\n');
}

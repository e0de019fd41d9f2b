/** What a row of the matrix is, and what most rows share: a page of a folder, a program that prints. */
import { createServer } from 'node:net';
import { leftAt, withPage } from './pages.js';
import { command } from './project.js';
import type { Report, Run } from './report.js';
import { type HostOptions, host } from './serve.js';

export interface Row {
  /** The tool, its version, and how it is used. */
  readonly name: string;
  /** Whether `.ci/run` runs it. */
  readonly quick: boolean;
  /** What one must add to run the quickstart, in a word or a line. */
  readonly add: string;
  /** What one must add for threads; null where the runtime has no workers or no shared memory; absent where nothing runs. */
  readonly threads?: string | null;
  /** Whether the support table has it; true. */
  readonly listed?: boolean;
  /** @returns what ran there; null where the row only compiles. @throws NotInstalled where the tool cannot be had */
  run(tarball: string): Promise<Report | null>;
}

export const NOTHING = 'nothing';
/** The two headers that isolate a page. */
export const HEADERS = 'headers';

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** The report of a page that a server answers with. */
export async function pageAt(url: string): Promise<Report> {
  return withPage(url, async (page) => readReport(await leftAt(page, 'matrixReport')));
}

/** The report of a built page. */
export async function pageIn(folder: string, options?: HostOptions): Promise<Report> {
  const server = await host(folder, options);
  try {
    return await pageAt(server.url);
  } finally {
    await server.stop();
  }
}

/** The report of a program that prints it. */
export async function programIn(
  folder: string,
  file: string,
  args: readonly string[],
  env = {},
): Promise<Report> {
  return printedReport(await command(folder, file, args, env));
}

export function printedReport(printed: string): Report {
  const line = /MATRIX (\{.*\})/.exec(printed)?.[1];
  if (line === undefined) throw new Error(`no report was printed: ${printed}`);
  return readReport({ report: JSON.parse(line) });
}

/** @throws Error with the page's own error, or where it is no report */
export function readReport(left: unknown): Report {
  const { report, error } = left as { report?: Partial<Report>; error?: string };
  if (error !== undefined) throw new Error(error);
  const { printed, one, two } = report ?? {};
  if (typeof printed !== 'string' || !isRun(one) || !isRun(two))
    throw new Error(`not a report: ${JSON.stringify(left)}`);
  return { printed, one, two };
}

function isRun(run: Run | undefined): run is Run {
  return typeof run?.loss === 'number' && typeof run.product === 'string' && typeof run.threads === 'number';
}

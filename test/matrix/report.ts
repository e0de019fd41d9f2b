/** What a row's program says of itself, and whether it is what Node computes. Written by `fixture/`, read by `main.ts`. */

/** One training and one product with a number of threads. */
export interface Run {
  readonly kernels: string;
  readonly threads: number;
  readonly threadsReason: string;
  /** `lora.summary()` of the quickstart. */
  readonly summary: string;
  /** The quickstart's loss. */
  readonly loss: number;
  /** Digest of a product of whole numbers that is large enough to be shared. */
  readonly product: string;
}

export interface Report {
  /** What the quickstart printed, as it stands in the README. */
  readonly printed: string;
  readonly one: Run;
  /** The same, asked for two threads. */
  readonly two: Run;
}

/** Node's runs, by the kernels' name, and the digest of the product as plain JavaScript computes it. */
export interface Reference {
  readonly runs: Readonly<Record<string, Run>>;
  readonly product: string;
}

/** How far a loss may be from Node's with the same kernels. */
export const LOSS_BOUND = 1e-5;

/** What is wrong with a report, as sentences; none when the row holds. `twoThreads` is whether two are possible there. */
export function faults(report: Report, reference: Reference, twoThreads: boolean): string[] {
  const found: string[] = [];
  const { printed, one, two } = report;
  const loss = Number(/ loss (\S+)$/.exec(printed)?.[1]);
  if (!printed.startsWith(`${one.summary} `)) found.push(`the quickstart printed '${printed}'`);
  if (loss !== one.loss)
    found.push(`the quickstart's loss is ${loss}, and ${one.loss} when asked for one thread`);
  found.push(...faultsOfRun(one, reference, 'one thread'), ...faultsOfRun(two, reference, 'two threads'));
  if (two.loss !== one.loss) found.push(`two threads: the loss is ${two.loss}, with one ${one.loss}`);
  if (one.threads !== 1) found.push(`one thread: ${one.threads} were taken (${one.threadsReason})`);
  const expected = twoThreads ? 2 : 1;
  if (two.threads !== expected)
    found.push(`two threads: got ${two.threads}, expected ${expected} (${two.threadsReason})`);
  if (!twoThreads && two.threadsReason === '') found.push('two threads: no reason is given for one');
  return found;
}

function faultsOfRun(run: Run, reference: Reference, where: string): string[] {
  const node = reference.runs[run.kernels];
  if (node === undefined) return [`${where}: kernels are '${run.kernels}', which Node did not run`];
  const found: string[] = [];
  if (run.product !== reference.product)
    found.push(`${where}: the product of whole numbers is ${run.product}, expected ${reference.product}`);
  if (!(Math.abs(run.loss - node.loss) <= LOSS_BOUND))
    found.push(`${where}: the loss is ${run.loss}, in Node ${node.loss}`);
  if (run.summary !== node.summary)
    found.push(`${where}: the summary is '${run.summary}', in Node '${node.summary}'`);
  return found;
}

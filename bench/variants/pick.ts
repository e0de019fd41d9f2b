/**
 * `npm run bench:variants`: the package's paths against each other on real shapes, in each build that this Node has; every
 * result is verified before it is timed. `--json FILE` keeps what the tables of this folder's README use.
 */
import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { createRuntime } from 'lora-wasm';
import { printTable, showProgress } from '../core/print.js';
import { commandLine, nodeName, type Provenance, provenance } from '../core/provenance.js';
import { pathTables } from './pages.js';
import { BUILDS, measurePaths, type PathRow } from './paths.js';

export interface PathsReport extends Provenance {
  readonly paths: readonly PathRow[];
}

interface Options {
  readonly json?: string;
  readonly quick: boolean;
}

async function pathsOf(kernels: PathRow['kernels'], quick: boolean): Promise<PathRow[]> {
  const rt = await createRuntime({ kernels, threads: 1, seed: 1 }).catch((error: Error) => {
    console.log(`${nodeName()} has no ${kernels}: ${error.message}`);
    return null;
  });
  if (rt === null) return [];
  showProgress(kernels);
  try {
    return measurePaths(rt, quick);
  } finally {
    rt.dispose();
    showProgress('');
  }
}

/** A row a line, no more digits than a figure can mean; of the paths, the planned and the winner. */
function keptText({ paths, ...head }: PathsReport): string {
  const digits = (_: string, value: unknown): unknown =>
    typeof value === 'number' ? Number(value.toPrecision(5)) : value;
  const used = paths.filter(({ planned, winner }) => planned || winner);
  const lines = used.map((row) => `\n  ${JSON.stringify(row, digits)}`).join(',');
  return `${JSON.stringify(head, null, 1).slice(0, -2)},\n "paths": [${lines}\n ]\n}\n`;
}

const { json, quick } = new Command('npm run bench:variants --')
  .option('--json <file>', 'also write the results as JSON')
  .option('--quick', 'a few rounds and small shapes, to see whether all works', false)
  .parse()
  .opts<Options>();
const paths: PathRow[] = [];
for (const build of BUILDS) paths.push(...(await pathsOf(build, quick)));
const report: PathsReport = {
  ...provenance(commandLine('bench:variants', 'bench/variants/pick.ts')),
  paths,
};
console.log(`${report.cpu} | ${report.engine} | GFLOP/s of what the plans take, and what was faster`);
for (const { title, head, lines } of pathTables([report])) {
  console.log(`\n${title}`);
  printTable(head, lines);
}
if (json !== undefined) writeFileSync(json, keptText(report));

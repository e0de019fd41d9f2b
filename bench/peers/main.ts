/**
 * `npm run bench:peers`: this package and its peers over the same layers, one thread each and all threads each, in one
 * interleaved run, every result verified before it is timed. Peers are installed by `npm run bench:peers:install`.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { freshPackage } from '../../scripts/build/fresh.js';
import { startChromium } from '../browser/chromium.js';
import { type Remote, startChild } from '../core/child.js';
import { higher } from '../core/peak.js';
import { printReport, showProgress } from '../core/print.js';
import { commandLine, nodeName, provenance } from '../core/provenance.js';
import { type Ceilings, PACKAGE, type Report } from '../core/records.js';
import { drive, type Outcome, type Party, type PeerEffort, type PeerRow } from './drive.js';
import { peerGoals } from './goals.js';
import type { Host } from './host.js';
import { PEER_COLUMNS, peerCells, sortedRows } from './pages.js';
import { NAMES, PYTORCH, SHAPES } from './peer.js';

const FULL: PeerEffort = { rounds: 15, roundMs: 80, settleMs: 100 };
const QUICK: PeerEffort = { rounds: 2, roundMs: 2, settleMs: 0 };
const NODE = new URL('./contestants/node.ts', import.meta.url);
const PAGE = new URL('./contestants/page.ts', import.meta.url);
const PACKAGES = new URL('./node_modules/', import.meta.url);

interface Options {
  readonly json?: string;
  readonly python?: string;
  readonly chromium?: string;
  readonly quick: boolean;
  readonly only?: string[];
}

function readOptions(): Options {
  return new Command('npm run bench:peers --')
    .description('Measures the package against its peers. Everything is verified before it is timed.')
    .option('--json <file>', 'also write the results as JSON')
    .option('--python <path>', 'a Python that has torch and peft: measures them too')
    .option('--chromium <path>', 'measure in this Chromium instead of in this Node')
    .option('--only <name...>', 'these contestants alone, with their variants')
    .option('--quick', 'the smallest shape and few rounds, to see whether all works', false)
    .parse()
    .opts<Options>();
}

/** Where contestants are started. */
interface Engine {
  readonly name: string;
  open(): Promise<Remote>;
  close(): Promise<void>;
}

const nodeEngine = (): Engine => ({
  name: nodeName(),
  open: async () => startChild(NODE),
  close: async () => {},
});

function hostOver({ ask }: Remote): Host {
  return {
    load: (...args) => ask('load', args),
    prepare: (...args) => ask('prepare', args),
    round: (...args) => ask('round', args),
    clear: () => ask('clear', []),
  };
}

/** In a process or page of its own. */
async function ceilingsOf(engine: Engine): Promise<Ceilings> {
  const remote = await engine.open();
  const ceilings = await remote.ask<Ceilings>('ceilings', []);
  await remote.close();
  return ceilings;
}

/** Percent of the ceiling of one thread times the threads: fused, save for the package's plain kernels. */
function withCeilings(rows: readonly PeerRow[], { fused, plain }: Ceilings): PeerRow[] {
  return rows.map((row) => {
    const top = row.contestant === PACKAGE && row.kernels === 'simd' ? plain : (fused ?? plain);
    const native = row.contestant === PYTORCH;
    return { ...row, percentOfCeiling: native ? null : (100 * row.gflops) / (top * row.threads) };
  });
}

/** Every contestant at one thread and at all, each in a process or page of its own: one's garbage is no other's time. */
async function measure(engine: Engine, { python = '', quick, only }: Options): Promise<Outcome> {
  const wanted = (name: string): boolean =>
    only === undefined || only.some((one) => name === one || name.startsWith(`${one} (`));
  const remotes: Remote[] = [];
  const parties: Party[] = [];
  for (const threads of new Set([1, availableParallelism()]))
    for (const name of NAMES.filter(wanted)) {
      const native = name === PYTORCH;
      const remote = native ? startChild(NODE, { BENCH_PYTHON: python }) : await engine.open();
      remotes.push(remote);
      parties.push({ host: hostOver(remote), name, threads });
    }
  try {
    const smallest = SHAPES.filter(({ M }) => M === 10);
    return await drive(parties, quick ? QUICK : FULL, showProgress, quick ? smallest : SHAPES);
  } finally {
    showProgress('');
    for (const remote of remotes) await remote.close();
  }
}

async function main(): Promise<void> {
  const options = readOptions();
  freshPackage();
  const { chromium } = options;
  const engine =
    chromium === undefined
      ? nodeEngine()
      : await startChromium(chromium, PAGE, { links: { files: fileURLToPath(PACKAGES) } });
  try {
    const before = await ceilingsOf(engine);
    const { rows, notMeasured } = await measure(engine, options);
    const ceilings = higher(before, await ceilingsOf(engine));
    const report: Report & { readonly rows: PeerRow[] } = {
      ...provenance(commandLine('bench:peers', 'bench/peers/main.ts'), engine.name),
      ceilings,
      rows: withCeilings(rows, ceilings),
      notMeasured,
    };
    const cells = sortedRows(report.rows).map((row) => peerCells(row, report.rows));
    printReport(report, PEER_COLUMNS, cells, peerGoals(report.rows));
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 1)}\n`);
  } finally {
    await engine.close();
  }
}

await main();

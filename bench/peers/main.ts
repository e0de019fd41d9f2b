/**
 * `npm run bench:peers`: this package and its peers over the same layers, one thread each and all threads each, in one
 * interleaved run, every result verified before it is timed. Peers are installed by `npm run bench:peers:install`.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { type Chromium, startChromium } from '../browser/chromium.js';
import { measureCeilings } from '../core/ceilings.js';
import { higher } from '../core/peak.js';
import { printReport, showProgress } from '../core/print.js';
import { commandLine, nodeName, provenance } from '../core/provenance.js';
import { type Ceilings, PACKAGE, type Report } from '../core/records.js';
import { CONTESTANTS, PYTORCH } from './contestants.js';
import { drive, type Outcome, type Party, type PeerEffort, type PeerRow } from './drive.js';
import { peerGoals, peerGoalText } from './goals.js';
import { hostOver, type Remote, startNodeHost } from './node-host.js';
import { PEER_COLUMNS, peerCells, sortedRows } from './pages.js';
import { SHAPES } from './peer.js';

const FULL: PeerEffort = { rounds: 15, roundMs: 80, settleMs: 100 };
const QUICK: PeerEffort = { rounds: 2, roundMs: 2, settleMs: 0 };

interface Options {
  readonly json?: string;
  readonly python?: string;
  readonly chromium?: string;
  readonly quick?: boolean;
  readonly only?: string[];
}

function readOptions(): Options {
  return new Command('npm run bench:peers --')
    .description('Measures the package against its peers. Everything is verified before it is timed.')
    .option('--json <file>', 'also write the results as JSON')
    .option('--python <path>', 'a Python that has torch and peft: measures them too')
    .option('--chromium <path>', 'measure in this Chromium instead of in this Node')
    .option('--only <name...>', 'these contestants alone, with their variants')
    .option('--quick', 'the smallest shape and few rounds, to see whether all works')
    .parse()
    .opts<Options>();
}

interface Engine {
  readonly name: string;
  open(): Promise<Remote>;
  ceilings(): Promise<Ceilings>;
  close(): Promise<void>;
}

function nodeEngine(): Engine {
  return {
    name: nodeName(),
    open: async () => startNodeHost(null),
    ceilings: measureCeilings,
    close: async () => {},
  };
}

/** The ceilings are taken in a page of their own. */
function pageEngine(pages: Chromium): Engine {
  return {
    name: `Chromium ${pages.version}`,
    open: async () => {
      const page = await pages.open();
      return { host: hostOver((method, args) => page.ask('host', [method, args])), close: page.close };
    },
    ceilings: async () => {
      const page = await pages.open();
      const ceilings = await page.ask<Ceilings>('ceilings', []);
      await page.close();
      return ceilings;
    },
    close: pages.close,
  };
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
async function measure(engine: Engine, { python, quick = false, only }: Options): Promise<Outcome> {
  const all = availableParallelism();
  const wanted = (name: string): boolean =>
    only === undefined || only.some((one) => name === one || name.startsWith(`${one} (`));
  const names = [...Object.keys(CONTESTANTS), PYTORCH].filter(wanted);
  const remotes: Remote[] = [];
  const parties: Party[] = [];
  const join = (remote: Remote, party: Omit<Party, 'host'>): void => {
    remotes.push(remote);
    parties.push({ host: remote.host, ...party });
  };
  for (const threads of all > 1 ? [1, all] : [1]) {
    for (const name of names) {
      const remote = name === PYTORCH ? startNodeHost(python ?? null) : await engine.open();
      join(remote, { names: [name], threads });
    }
  }
  try {
    const smallest = SHAPES.filter(({ M }) => M === 10);
    const outcome = await drive(parties, quick ? QUICK : FULL, showProgress, quick ? smallest : SHAPES);
    showProgress('');
    return outcome;
  } finally {
    for (const remote of remotes) await remote.close();
  }
}

async function main(): Promise<void> {
  const options = readOptions();
  const { chromium } = options;
  const entry = new URL('./page.ts', import.meta.url);
  const engine = chromium === undefined ? nodeEngine() : pageEngine(await startChromium(chromium, entry));
  try {
    const before = await engine.ceilings();
    const { rows, notMeasured } = await measure(engine, options);
    const ceilings = higher(before, await engine.ceilings());
    const report: Report & { readonly rows: PeerRow[] } = {
      ...provenance(commandLine('bench:peers', 'bench/peers/main.ts'), engine.name),
      ceilings,
      rows: withCeilings(rows, ceilings),
      notMeasured,
    };
    const cells = sortedRows(report.rows).map((row) => peerCells(row, report.rows));
    printReport(report, PEER_COLUMNS, cells, peerGoals(report.rows).map(peerGoalText));
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 1)}\n`);
  } finally {
    await engine.close();
  }
}

await main();

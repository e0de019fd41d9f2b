/**
 * `npm run bench:peers`: this package and its peers over the same layers, one thread each and all threads each, in one
 * interleaved run, every result verified before it is timed. Peers are installed by `npm run bench:peers:install`.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { type Chromium, startChromium } from '../browser/chromium.js';
import { measureCeilings } from '../ceilings.js';
import { higher } from '../peak.js';
import { commandLine, commitOf, cpuName, nodeName, today } from '../provenance.js';
import { type Ceilings, PACKAGE, type Report } from '../records.js';
import { CONTESTANTS, PYTORCH } from './contestants.js';
import { drive, type Outcome, type Party, type PeerRow } from './drive.js';
import { FULL, QUICK } from './effort.js';
import { type Remote, startNodeHost } from './node-host.js';
import { SHAPES } from './problem.js';
import { printPeers } from './table.js';

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
    open: pages.open,
    ceilings: async () => {
      const page = await pages.open();
      const ceilings = await page.ceilings();
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
  const progress = (text: string): void =>
    void (process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`));
  try {
    const smallest = SHAPES.filter(({ M }) => M === 10);
    const outcome = await drive(parties, quick ? QUICK : FULL, progress, quick ? smallest : SHAPES);
    progress('');
    return outcome;
  } finally {
    for (const remote of remotes) await remote.close();
  }
}

async function main(): Promise<void> {
  const options = readOptions();
  const engine =
    options.chromium === undefined ? nodeEngine() : pageEngine(await startChromium(options.chromium));
  try {
    const before = await engine.ceilings();
    const { rows, notMeasured } = await measure(engine, options);
    const ceilings = higher(before, await engine.ceilings());
    const report: Report & { readonly rows: PeerRow[] } = {
      commit: commitOf(),
      cpu: cpuName(),
      engine: engine.name,
      command: commandLine('bench:peers', 'bench/peers/main.ts'),
      date: today(),
      ceilings,
      rows: withCeilings(rows, ceilings),
      notMeasured,
    };
    printPeers(report);
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 1)}\n`);
  } finally {
    await engine.close();
  }
}

await main();

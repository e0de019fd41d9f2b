/**
 * `npm run bench`: this package against plain TypeScript, naive WebAssembly and itself (plain, LoRA unfused, fused, merged;
 * LoRA step against full step), one thread, every result verified before it is timed. See `measure.ts` for how.
 */
import { writeFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { createRuntime } from 'lora-wasm';
import { adapterRows } from './adapters.js';
import { measureCeilings } from './ceilings.js';
import { layerContest, MNIST_CONTEST, MNIST_SIZES } from './contest.js';
import { type Context, type ForwardShape, forwardRows, productRow } from './forward.js';
import { PRODUCT_SIZES } from './goals.js';
import { buildNaive } from './naive.js';
import { commandLine, commitOf, cpuName, higher, today } from './provenance.js';
import { type Ceilings, type NotMeasured, OP, PACKAGE, type Report, type Row } from './records.js';
import { printReport } from './table.js';
import { trainingRows } from './training.js';

interface Options {
  readonly json?: string;
  readonly quick?: boolean;
  readonly kernels: 'auto' | 'simd' | 'relaxed-simd';
  readonly filter?: string;
}

const RANKS = [4, 8, 16, 64];
const BATCHES = [1, 10, 64, 256];
const FULL_EFFORT = { rounds: 5, roundMs: 20 };
/** Rows that the goals rest on: more rounds, since the machine's clock wanders. */
const GOAL_EFFORT = { rounds: 11, roundMs: 60 };
const QUICK_EFFORT = { rounds: 3, roundMs: 2 };

const FORWARD_SHAPES: ForwardShape[] = [
  ...MNIST_SIZES.flatMap(([N, K]) => BATCHES.map((M) => ({ M, N, K, ranks: [1] }))),
  { M: 64, N: 768, K: 768, ranks: RANKS },
  ...[768, 2048].map((d) => ({ M: 256, N: d, K: d, ranks: RANKS })),
];

function readOptions(): Options {
  const command = new Command('npm run bench --')
    .description(
      'Measures the package against plain matrix products. Everything is verified before it is timed.',
    )
    .option('--json <file>', 'also write the results as JSON')
    .option('--quick', 'a few small shapes, for tests of the benchmark itself')
    .addOption(
      new Option('--kernels <build>', 'kernel build')
        .choices(['auto', 'simd', 'relaxed-simd'])
        .default('auto'),
    )
    .option(
      '--filter <pattern>',
      "regular expression over operation and shape, e.g. 'forward M=256' or 'MNIST'",
    );
  return command.parse().opts<Options>();
}

function notMeasured(kernels: string, ceilings: Ceilings): NotMeasured[] {
  const list: NotMeasured[] = ['plain TypeScript', 'naive WASM'].map((contestant) => ({
    contestant,
    operation: 'training step',
    reason: 'the baselines have a forward product only',
  }));
  if (kernels === 'simd') {
    const reason =
      'this run used the plain SIMD kernels: this engine has no relaxed SIMD, or --kernels asked for them';
    list.push({ contestant: PACKAGE, operation: 'every operation, relaxed-simd', reason });
  } else {
    list.push({
      contestant: PACKAGE,
      operation: 'every operation, simd',
      reason: 'this run used the relaxed kernels: see --kernels simd',
    });
  }
  if (ceilings.fused === null) {
    list.push({ contestant: 'ceiling', operation: 'fused', reason: 'no engine with relaxed SIMD was found' });
  }
  return list;
}

async function main(): Promise<void> {
  const { json, quick = false, kernels, filter } = readOptions();
  const rt = await createRuntime({ kernels, threads: 1 });
  const naive = await buildNaive();
  const pattern = filter === undefined ? null : new RegExp(filter);
  const before = await measureCeilings();
  const build = rt.info().kernels;
  const context = (effort: Context['effort']): Context => ({
    rt,
    naive,
    effort,
    ceiling: build === 'relaxed-simd' ? before.fused : before.plain,
    wanted: (title) => pattern?.test(title) ?? true,
  });
  const progress = (text: string): void =>
    void (process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`));

  const rows: Row[] = [];
  if (quick) {
    const small = context(QUICK_EFFORT);
    rows.push(...productRow(small, 24, 96, 77), ...forwardRows(small, { M: 10, N: 10, K: 200, ranks: [1] }));
    rows.push(
      ...forwardRows(small, { M: 16, N: 64, K: 64, ranks: [4, 8] }),
      ...trainingRows(small, layerContest(16, 64, 64, 8)),
    );
  } else {
    const { M, N, K } = PRODUCT_SIZES;
    rows.push(...productRow(context(GOAL_EFFORT), M, N, K));
    for (const contest of [MNIST_CONTEST, ...RANKS.map((r) => layerContest(256, 768, 768, r))]) {
      progress(`training step, ${contest.shape}`);
      rows.push(...trainingRows(context(GOAL_EFFORT), contest));
    }
    for (const shape of FORWARD_SHAPES) {
      progress(`${OP.forward}, M=${shape.M} N=${shape.N} K=${shape.K}`);
      rows.push(...forwardRows(context(shape.N === 768 ? GOAL_EFFORT : FULL_EFFORT), shape));
    }
    progress('');
  }
  const { rounds } = quick ? QUICK_EFFORT : GOAL_EFFORT;
  rows.push(...(await adapterRows(rt, rounds, (title) => pattern?.test(title) ?? true)));
  const ceilings = quick ? before : higher(before, await measureCeilings());
  const top = build === 'relaxed-simd' ? ceilings.fused : ceilings.plain;
  const report: Report = {
    commit: commitOf(),
    cpu: cpuName(),
    engine: `Node ${process.versions.node} (V8 ${process.versions.v8})`,
    command: commandLine('bench', 'bench/main.ts'),
    date: today(),
    ceilings,
    rows: rows.map((row) => ({ ...row, percentOfCeiling: top === null ? null : (100 * row.gflops) / top })),
    notMeasured: notMeasured(build, ceilings),
  };
  printReport(report);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, null, 1)}\n`);
  rt.dispose();
}

await main();

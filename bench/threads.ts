/**
 * `npm run bench:threads`: one thread against two, taking turns, in products and LoRA steps. The results of both are
 * compared bit for bit before anything is timed. `--threads N` takes another count, `--json FILE` keeps the results.
 */
import { writeFileSync } from 'node:fs';
import Table from 'cli-table3';
import { Command } from 'commander';
import {
  AdamW,
  createRuntime,
  Linear,
  LoraModel,
  linear,
  mseLoss,
  type Runtime,
  Sequential,
  type Tensor,
} from 'lora-wasm';
import { measureCeilings } from './ceilings.js';
import { type Effort, measure, pairedRatio, type Timing } from './measure.js';
import { commandLine, commitOf, cpuName, nodeName, today } from './provenance.js';
import { gflopsOf, OP, PACKAGE, type Report, type Row, shapeText } from './records.js';

const options = new Command('npm run bench:threads --')
  .description('One thread against several, taking turns')
  .option('--threads <n>', 'the count beside one', '2')
  .option('--json <file>', 'also write the results as JSON')
  .parse()
  .opts<{ threads: string; json?: string }>();
const THREADS = Number(options.threads);
const EFFORT: Effort = { rounds: 15, roundMs: 60 };

type Numbers = ReturnType<Tensor['toArray']>;

/** What both runtimes do. `run` gives the numbers that must be the same. */
interface Case {
  readonly operation: string;
  readonly shape: string;
  readonly flops: number;
  readonly prepare: (rt: Runtime) => () => Numbers;
}

/** The product alone: no tape; the element read at the end shows that it ran. */
function product(M: number, N: number, K: number): Case {
  const prepare = (rt: Runtime): (() => Numbers) => {
    const [x, w] = [rt.normal([M, K]), rt.normal([N, K])];
    return () => rt.scope(() => linear(x, w).toArray());
  };
  return { operation: OP.product, shape: shapeText(M, N, K), flops: 2 * M * N * K, prepare };
}

/** Forward, loss, backward with a gradient of x, and AdamW: one inner layer. */
function step(M: number, d: number, r: number): Case {
  const prepare = (rt: Runtime): (() => Numbers) => {
    const net = new Sequential(new Linear(rt, d, d));
    const lora = LoraModel.attach(net, { r, loraAlpha: 2 * r, targetModules: ['0'] });
    const optimizer = new AdamW(lora.trainableParameters(), { lr: 1e-4 });
    const [x, target] = [rt.normal([M, d]), rt.normal([M, d])];
    return () =>
      rt.scope(() => {
        optimizer.zeroGrad();
        const input = x.detach();
        input.requiresGrad = true;
        const loss = mseLoss(lora.forward(input), target);
        loss.backward();
        optimizer.step();
        return loss.toArray();
      });
  };
  // Two large products (forward, dx) and six skinny ones.
  const flops = 4 * M * d * d + 12 * M * r * d;
  return { operation: OP.loraStep, shape: shapeText(M, d, d, r), flops, prepare };
}

const CASES = [
  step(256, 768, 8),
  step(64, 768, 8),
  step(256, 256, 8),
  product(256, 768, 768),
  product(10, 2000, 1000),
  product(10, 1000, 784),
  product(10, 512, 512),
  product(64, 128, 256),
];

function show({ median, min, max }: Timing): string {
  return `${median.toPrecision(3)} (${min.toPrecision(3)}-${max.toPrecision(3)})`;
}

async function main(): Promise<void> {
  const one = await createRuntime({ threads: 1, seed: 1 });
  const more = await createRuntime({ threads: THREADS, seed: 1 });
  const { threads, threadsReason, kernels } = more.info();
  if (threads !== THREADS) throw new Error(`bench: ${threads} threads: ${threadsReason}`);
  const ceilings = await measureCeilings();
  const rows: Row[] = [];
  console.log(`${cpuName()}, Node ${process.versions.node}, ${kernels} kernels`);
  const columns = ['', '1 thread, ms (range)', `${threads} threads, ms (range)`, 'times as fast'];
  const table = new Table({ head: columns, style: { head: [], border: [], compact: true } });
  for (const { operation, shape, flops, prepare } of CASES) {
    const name = `${operation} ${shape}`;
    const [a, b] = [prepare(one), prepare(more)];
    for (let i = 0; i < 3; i++) {
      const [x, y] = [a(), b()];
      if (x.some((value, j) => !Object.is(value, y[j]))) throw new Error(`bench: ${name}: other bits`);
    }
    const tasks = [
      { name: 'one', run: () => void a() },
      { name: 'more', run: () => void b() },
    ];
    const timings = measure(tasks, EFFORT);
    const [alone, shared] = [timings.get('one')!, timings.get('more')!];
    table.push([name, show(alone), show(shared), pairedRatio(alone, shared).toFixed(2)]);
    const top = kernels === 'relaxed-simd' ? ceilings.fused : ceilings.plain;
    for (const [count, timing] of [
      [1, alone],
      [threads, shared],
    ] as const) {
      const gflops = gflopsOf(flops, timing.median);
      rows.push({
        ...{ contestant: PACKAGE, operation, shape, kernels, threads: count, ...timing, gflops },
        ...{ percentOfCeiling: top === null ? null : (100 * gflops) / (top * count), endToEnd: null },
        ...{ ratio: pairedRatio(timing, alone), flopRatio: 1, ratioTo: `${operation}, one thread` },
      });
    }
  }
  console.log(table.toString());
  if (options.json !== undefined) {
    const report: Report = {
      ...{ commit: commitOf(), cpu: cpuName() },
      engine: nodeName(),
      command: commandLine('bench:threads', 'bench/threads.ts'),
      ...{ date: today(), ceilings, rows, notMeasured: [] },
    };
    writeFileSync(options.json, `${JSON.stringify(report, null, 1)}\n`);
  }
  one.dispose();
  more.dispose();
}

await main();

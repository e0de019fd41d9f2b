/** `npm run bench:kernels`: every kernel of a training step against the machine's limit, one thread. */
import { writeFileSync } from 'node:fs';
import Table from 'cli-table3';
import { Command, Option } from 'commander';
import { createRuntime } from 'lora-wasm';
import { measureCeilings } from '../ceilings.js';
import { compile } from '../compile.js';
import { Yardstick } from '../peak.js';
import { commandLine, commitOf, cpuName, higher, today } from '../provenance.js';
import type { Report } from '../records.js';
import { ceilingsText } from '../table.js';
import { type KernelRow, kernelRows } from './suite.js';
import { KERNEL_COLUMNS, kernelCells } from './table.js';

interface Options {
  readonly json?: string;
  readonly quick?: boolean;
  readonly kernels: 'auto' | 'simd' | 'relaxed-simd';
  readonly filter?: string;
}

const options = new Command('npm run bench:kernels --')
  .description(
    'Measures every kernel against the limit of the machine, the limit measured in the same rounds.',
  )
  .option('--json <file>', 'also write the results as JSON')
  .option('--quick', 'a few small shapes, for tests of the benchmark itself')
  .addOption(
    new Option('--kernels <build>', 'kernel build').choices(['auto', 'simd', 'relaxed-simd']).default('auto'),
  )
  .option(
    '--filter <pattern>',
    "regular expression over group, operation and shape, e.g. 'M 1-8' or 'skinny'",
  )
  .parse()
  .opts<Options>();
const { json, quick = false, kernels, filter } = options;

const rt = await createRuntime({ kernels, threads: 1 });
const before = await measureCeilings();
const features = rt.info().kernels === 'relaxed-simd' ? ['simd', 'relaxed-simd'] : ['simd'];
const pattern = filter === undefined ? null : new RegExp(filter);
const rows = kernelRows({
  rt,
  yardstick: new Yardstick(new WebAssembly.Module(await compile('ceiling', features))),
  quick,
  wanted: (title) => pattern?.test(title) ?? true,
  progress: (text) => void (process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`)),
});
const report: Report & { readonly rows: KernelRow[] } = {
  commit: commitOf(),
  cpu: cpuName(),
  engine: `Node ${process.versions.node} (V8 ${process.versions.v8})`,
  command: commandLine('bench:kernels', 'bench/kernels/main.ts'),
  date: today(),
  ceilings: quick ? before : higher(before, await measureCeilings()),
  rows,
  notMeasured: [],
};
const table = new Table({ head: [...KERNEL_COLUMNS], style: { head: [], border: [], compact: true } });
for (const row of rows) table.push(kernelCells(row));
console.log(`${report.cpu} | ${report.engine} | ${features.at(-1)} | one thread | ${ceilingsText(report)}`);
console.log(table.toString());
if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, null, 1)}\n`);
rt.dispose();

/**
 * The command `npm run bench` and its like: one suite of `suites.ts`, in this Node or in a Chromium, every result verified before
 * it is timed; see `core/measure.ts` for how. Prints a table, and keeps the results where `--json` says. Loaded by `main.ts`.
 */
import { writeFileSync } from 'node:fs';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { printReport, showProgress } from './core/print.js';
import { commandLine, type Provenance, provenance } from './core/provenance.js';
import type { Report } from './core/records.js';
import { chromiumEngine, nodeEngine } from './engines.js';
import { goldenOf } from './llm/golden.js';
import { reportsOf } from './processes.js';
import type { RunOptions, Suite } from './suite.js';
import { SUITE_NAMES, SUITES, type SuiteName } from './suites.js';

interface Options extends Omit<RunOptions, 'filter' | 'threads' | 'model'> {
  readonly python?: string;
  readonly processes: number;
  readonly model?: string;
  readonly threads?: number;
  readonly filter?: string;
  readonly json?: string;
  readonly chromium?: string;
}

function readCommand(): [SuiteName, Options] {
  const command = new Command('npm run bench --')
    .description(SUITE_NAMES.map((name) => `${name}: ${SUITES[name].about}`).join('\n'))
    .addArgument(new Argument('[suite]', 'what to measure').choices(SUITE_NAMES).default('bench'))
    .option('--json <file>', 'also write the results as JSON')
    .option('--chromium <path>', 'measure in an isolated page of this Chromium instead of in this Node')
    .option('--model <path>', 'llm: also measure this language model, a GGUF file or (in Node) a folder')
    .option('--python <path>', 'llm: also train by PyTorch in this Python (torch, peft, transformers, gguf)')
    .option('--threads <n>', 'the most threads to measure; default: the cores', countOf)
    .option(
      '--processes <n>',
      'llm: run it in so many processes, one after the other, and join them',
      countOf,
      1,
    )
    .option('--quick', 'a few small shapes, to see whether all works', false)
    .addOption(
      new Option('--kernels <build>', 'kernel build')
        .choices(['auto', 'simd', 'relaxed-simd'])
        .default('auto'),
    )
    .option(
      '--filter <pattern>',
      "regular expression over operation and shape, e.g. 'forward M=256' or 'MNIST'",
    )
    .parse();
  return [command.processedArgs[0], command.opts<Options>()];
}

function countOf(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('Expected a count from 1 up.');
  return count;
}

/** The npm script of a suite names it as its first argument, save for the default. */
function commandOf(suite: SuiteName): string {
  return suite === 'bench'
    ? commandLine('bench', 'bench/main.ts')
    : commandLine(`bench:${suite}`, 'bench/main.ts', 1);
}

type Measured = Omit<Report, keyof Provenance> & { readonly engine: string };

async function measured(suite: SuiteName, given: Options): Promise<Measured> {
  const { chromium, quick, kernels, threads = null, filter = null, model: path, processes, python } = given;
  const { join }: Suite = SUITES[suite];
  if (processes > 1) {
    if (join === undefined) throw new Error(`--processes is ${processes}, expected 1 for ${suite}`);
    const runs = reportsOf(processes);
    return { ...join(runs), engine: runs[0]!.engine };
  }
  const engine = chromium === undefined ? nodeEngine() : await chromiumEngine(chromium, path);
  try {
    const model = path === undefined ? null : { path, golden: goldenOf(path), python };
    const options = { quick, kernels, threads, filter, model };
    const outcome = await engine.run(suite, options, showProgress);
    showProgress('');
    return { ...outcome, engine: engine.name };
  } finally {
    await engine.close();
  }
}

async function main(): Promise<void> {
  const [suite, options] = readCommand();
  const { engine, ...rest } = await measured(suite, options);
  const report: Report = { ...provenance(commandOf(suite), engine), ...rest };
  const { columns, cells, goals }: Suite = SUITES[suite];
  printReport(report, columns, report.rows.map(cells), goals?.(report));
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 1)}\n`);
}

await main();

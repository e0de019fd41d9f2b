/** Runs one suite in this engine, Node or a page: its environment before, the ceilings around it, its runtimes' end. */
import type { Runtime } from 'lora-wasm';
import type { ModelInput } from 'lora-wasm/models';
import { runtimeOf as ownRuntime } from './core/own.js';
import { type Compiled, higher, measureCeilings, Yardstick } from './core/peak.js';
import type { Ceilings, ResidentJob, Row } from './core/records.js';
import { SharedCeiling, type StartHelper } from './core/shared-ceiling.js';
import type { StartNative } from './llm/step.js';
import type { Environment, Outcome, RunOptions, Suite } from './suite.js';
import { SUITES, type SuiteName } from './suites.js';

/** What an engine does its own way. */
interface Tools {
  readonly compiled: Compiled;
  /** The fused ceiling, asked where this engine has no relaxed SIMD; null where nobody knows it. */
  readonly fusedElsewhere: () => number | null;
  readonly cores: number;
  readonly startHelper: StartHelper;
  /** Where the model of that path is read from. */
  readonly modelSource: (path: string) => Promise<ModelInput>;
  /** Most bytes in memory of a new process that does it; null where there are no processes. */
  readonly peakResident: ((model: string, kernels: string, job: ResidentJob) => number) | null;
  /** PyTorch of that Python, over the model of that path; null where there are no processes. */
  readonly nativeOf: ((python: string, model: string) => StartNative) | null;
  readonly progress: (text: string) => void;
}

export interface Measured extends Outcome {
  readonly ceilings: Ceilings;
}

/** @throws Error when a result is wrong */
export async function runSuite(name: SuiteName, options: RunOptions, tools: Tools): Promise<Measured> {
  const { quick, kernels, filter, threads } = options;
  const suite: Suite = SUITES[name];
  const runtimes: Runtime[] = [];
  const shared: SharedCeiling[] = [];
  const runtimeOf = async (threads: number): Promise<Runtime> => {
    const rt = await ownRuntime({ kernels, threads, seed: 1 });
    runtimes.push(rt);
    return rt;
  };
  try {
    const rt = await runtimeOf(1);
    const relaxed = rt.info().kernels === 'relaxed-simd';
    const topOf = ({ fused, plain }: Ceilings): number | null => (relaxed ? fused : plain);
    const pattern = filter === null ? null : new RegExp(filter);
    const { compiled, fusedElsewhere } = tools;
    const before = await measureCeilings(compiled, fusedElsewhere);
    const loops = await WebAssembly.compile(await compiled(relaxed ? 'ceiling-relaxed' : 'ceiling'));
    const yardstick = new Yardstick(loops);
    const ceilingOf = async (threads: number): Promise<SharedCeiling> => {
      const made = await SharedCeiling.start(loops, yardstick, threads, tools.startHelper);
      shared.push(made);
      return made;
    };
    const { model: chosen } = options;
    const { peakResident } = tools;
    const environment: Environment = {
      ...{ rt, runtimeOf, quick, progress: tools.progress },
      naive: await WebAssembly.compile(await compiled('naive')),
      ...{ ceilings: before, ceiling: topOf(before) },
      ...{ yardstick, ceilingOf },
      model: chosen && {
        ...{ source: await tools.modelSource(chosen.path), golden: chosen.golden },
        startNative: (chosen.python && tools.nativeOf?.(chosen.python, chosen.path)) || null,
      },
      peakResident: peakResident && chosen && ((job) => peakResident(chosen.path, kernels, job)),
      threads: threads ?? tools.cores,
      wanted: (title) => pattern?.test(title) ?? true,
    };
    const { rows, ...rest } = await suite.run(environment);
    const ceilings = quick ? before : higher(before, await measureCeilings(compiled, fusedElsewhere));
    const top = suite.ownCeilings === true ? null : topOf(ceilings);
    return { ceilings, rows: rows.map((row) => withCeiling(row, top)), ...rest };
  } finally {
    for (const ceiling of shared) ceiling.close();
    for (const rt of runtimes) rt.dispose();
  }
}

/** A row that states its percentage, and not of ceilings of its own rounds, states it of the higher of both, times its threads. */
function withCeiling(row: Row, top: number | null): Row {
  if (row.percentOfCeiling === null || top === null || 'ceilings' in row) return row;
  return { ...row, percentOfCeiling: (100 * row.gflops) / (top * row.threads) };
}

/**
 * What a suite of measurements is: a function of its environment, which Node and a page set up alike. A suite, and what it
 * imports, names nothing of Node; `suites.ts` lists all, `run.ts` runs one.
 */
import type { Runtime } from 'lora-wasm';
import type { ModelInput } from 'lora-wasm/models';
import type { Goal } from './core/goal.js';
import type { Yardstick } from './core/peak.js';
import type { Ceilings, NotMeasured, Report, ResidentJob, Row } from './core/records.js';
import type { SharedCeiling } from './core/shared-ceiling.js';
import type { Golden } from './llm/golden.js';
import type { StartNative } from './llm/step.js';

/** What the command line asks of a suite; plain values, which cross a page's border. */
export interface RunOptions {
  /** A few small shapes and rounds. */
  readonly quick: boolean;
  readonly kernels: 'auto' | 'simd' | 'relaxed-simd';
  /** The most threads to measure, or null for as many as there are cores. */
  readonly threads: number | null;
  /** Source of a regular expression over titles, or null for all. */
  readonly filter: string | null;
  /** A language model's file or folder, and what is known of it, or null for none. */
  readonly model: {
    readonly path: string;
    readonly golden: Golden | null;
    /** A Python that has torch, peft, transformers and gguf: it trains the same. */
    readonly python?: string | undefined;
  } | null;
}

export interface Environment {
  /** One thread, with the kernels that were asked for, seeded: random numbers are the same every time. */
  readonly rt: Runtime;
  /** Another runtime with the same kernels, disposed after the suite. @throws Error where it has not so many threads */
  readonly runtimeOf: (threads: number) => Promise<Runtime>;
  /** The ceiling's and the reading loop of the build of `rt`, for suites that time them beside their rows. */
  readonly yardstick: Yardstick;
  /** The baseline's module, for `naiveProduct`. */
  readonly naive: WebAssembly.Module;
  /** The most threads to measure. */
  readonly threads: number;
  /** As measured before the suite. */
  readonly ceilings: Ceilings;
  /** GFLOP/s of one thread: the ceiling of the build of `rt`. */
  readonly ceiling: number | null;
  /** The ceiling's loop on so many threads at once, closed after the suite. */
  readonly ceilingOf: (threads: number) => Promise<SharedCeiling>;
  /** The language model of `--model`. */
  readonly model: {
    readonly source: ModelInput;
    readonly golden: Golden | null;
    /** Null, or absent, where no Python was named. */
    readonly startNative?: StartNative | null;
  } | null;
  /** Most bytes in memory of a new process that does it by the model, one thread; null where there are no processes. */
  readonly peakResident: ((job: ResidentJob) => number) | null;
  readonly quick: boolean;
  /** Whether a group of this title is to run. */
  readonly wanted: (title: string) => boolean;
  /** Tells what is being measured. */
  readonly progress: (text: string) => void;
}

export interface Outcome<R extends Row = Row> {
  readonly rows: R[];
  readonly notMeasured: NotMeasured[];
  /** As in `Report`. */
  readonly peakResident?: NonNullable<Report['peakResident']>;
}

export interface Suite<R extends Row = Row> {
  /** A sentence for `--help`. */
  readonly about: string;
  run(environment: Environment): Outcome<R> | Promise<Outcome<R>>;
  /** Heads of the table and a row's cells, printed here and written in Markdown. */
  readonly columns: readonly string[];
  cells(row: R): string[];
  /** Rows state the percentage of ceilings of their own rounds, not of those around the run. */
  readonly ownCeilings?: boolean;
  readonly goals?: (report: Pick<Report, 'rows' | 'ceilings' | 'peakResident'>) => Goal[];
  /** One run of several, for suites that `--processes` runs in as many. */
  readonly join?: (
    runs: readonly Report[],
  ) => Pick<Report, 'rows' | 'ceilings' | 'notMeasured' | 'peakResident'>;
  /** Of the page of results: a table before the rows, in Markdown. */
  readonly digest?: (report: Report) => string;
  /** What the chart beside the results shows, and the SVG. */
  readonly chart?: { readonly shows: string; readonly draw: (report: Report) => string };
  /** The rows that the page lists, and what they are; default all. */
  readonly lists?: (report: Report) => { readonly rows: R[]; readonly are: string };
}

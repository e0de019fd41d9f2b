/** The form of a benchmark's results: what `--json` writes, the tables print and the README is made from. */
import type { Provenance } from './provenance.js';

/** Range of one measurement in milliseconds: median, smallest and largest of the round medians, and those themselves. */
export interface Range {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly rounds: number[];
}

export interface Row extends Range {
  /** `lora-wasm`, or the name of a baseline. */
  readonly contestant: string;
  /** Tells the ways apart in which one contestant takes part; absent for the one that needs no name. */
  readonly variant?: string;
  readonly operation: string;
  /** M=rows N=outputs K=inputs, and r for LoRA. */
  readonly shape: string;
  /** Kernel build, or `none` outside this package. */
  readonly kernels: string;
  readonly threads: number;
  readonly gflops: number;
  /** Of the ceiling of the build that ran: fused for relaxed SIMD, plain for the rest; null where none was measured. */
  readonly percentOfCeiling: number | null;
  /** The same call with x copied in and y copied out; null where there is nothing to copy or it was not measured. */
  readonly endToEnd: Range | null;
  /** Time over that of the operation `ratioTo` of this package at the same shape, median of the rounds' ratios. */
  readonly ratio: number | null;
  readonly flopRatio: number | null;
  readonly ratioTo: string | null;
}

export interface Ceilings {
  /** GFLOP/s of register-only fused multiply-adds; null where no engine for it was found. */
  readonly fused: number | null;
  /** GFLOP/s of register-only separate multiplies and adds. */
  readonly plain: number;
  /** GB/s of a summing kernel over memory larger than the caches. */
  readonly readGBs: number | null;
}

export interface NotMeasured {
  readonly contestant: string;
  readonly operation: string;
  readonly reason: string;
}

export interface Report extends Provenance {
  readonly ceilings: Ceilings;
  readonly rows: Row[];
  readonly notMeasured: NotMeasured[];
  /** Most bytes that lay in memory of a process that does one job, nothing else; absent where none was started. */
  readonly peakResident?: Readonly<Partial<Record<ResidentJob, number>>>;
}

/** What a process of its own does by a language model; `bench/llm/resident.js` has the sizes. */
export const RESIDENT_JOBS = ['generation', 'training', 'training with checkpointing'] as const;
export type ResidentJob = (typeof RESIDENT_JOBS)[number];

/** Names of this package's operations: goals and tables look rows up by them. */
export const OP = {
  forward: 'forward',
  product: 'product',
  fused: 'LoRA forward, fused',
  unfused: 'LoRA forward, unfused',
  merged: 'LoRA forward, merged',
  loraStep: 'training step, LoRA',
  fullStep: 'training step, full',
  ownProducts: 'forward and dx products of the LoRA step',
  replay: 'kernel calls of the LoRA step, replayed',
  loadAdapter: 'load an adapter from bytes',
  switchAdapter: 'switch to another adapter',
  mergeAdapter: 'merge and unmerge',
} as const;

export const PACKAGE = 'lora-wasm';
export const MNIST_SHAPE = 'MNIST network, batch 10, r=1';

export function shapeText(M: number, N: number, K: number, r: number | null = null): string {
  return `M=${M} N=${N} K=${K}${r === null ? '' : ` r=${r}`}`;
}

/** GFLOP/s at `ms` a call. */
export function gflopsOf(flops: number, ms: number): number {
  return flops / ms / 1e6;
}

/** What of a runtime a row states. */
interface Ran {
  info(): { readonly kernels: string; readonly threads: number };
}

/** A row of this package: what `more` does not state is null. @param ceiling - GFLOP/s of one thread */
export function ownRow(
  rt: Ran,
  [operation, shape]: readonly [operation: string, shape: string],
  timing: Range,
  flops: number,
  ceiling: number | null,
  more: Partial<Row> = {},
): Row {
  const { kernels, threads } = rt.info();
  const gflops = gflopsOf(flops, timing.median);
  return {
    ...{ contestant: PACKAGE, operation, shape, kernels, threads, ...timing, gflops },
    percentOfCeiling: ceiling === null ? null : (100 * gflops) / (ceiling * threads),
    ...{ endToEnd: null, ratio: null, flopRatio: null, ratioTo: null },
    ...more,
  };
}

/** A contestant as tables, charts and lists name it. */
export function labelOf({ contestant, variant }: Pick<Row, 'contestant' | 'variant'>): string {
  return variant === undefined ? contestant : `${contestant} (${variant})`;
}

/** Whether a parsed file has the form of a report; the README's tables refuse others. */
export function isReport(value: unknown): value is Report {
  const { commit, cpu, engine, command, ceilings, rows, notMeasured } = Object(value) as Partial<Report>;
  const texts: unknown[] = [commit, cpu, engine, command];
  return (
    texts.every((text) => typeof text === 'string') &&
    [Object(ceilings) === ceilings, Array.isArray(notMeasured), Array.isArray(rows)].every(Boolean) &&
    rows!.every(isRow)
  );
}

function isRow({ contestant, operation, shape, kernels, threads, median, min, max, gflops }: Row): boolean {
  const texts: unknown[] = [contestant, operation, shape, kernels];
  return (
    texts.every((text) => typeof text === 'string') &&
    [threads, median, min, max, gflops].every(Number.isFinite)
  );
}

/** The rows of a group whose entries take turns, each with its ratio to another of the group. */
import type { Runtime } from 'lora-wasm';
import { type Effort, measure, pairedRatio } from './measure.js';
import { ownRow, PACKAGE, type Row } from './records.js';

/** What is timed, verified before it comes here. */
export interface Entry {
  readonly rt: Runtime;
  readonly operation: string;
  readonly shape: string;
  readonly flops: number;
  readonly run: () => void;
  /** Before each round, outside the time. */
  readonly before?: () => void;
  /** The same call with x copied in and y copied out. */
  readonly whole?: (() => void) | undefined;
  /** A baseline's name; default this package. */
  readonly contestant?: string;
  /** The operation of this package in the group whose time the ratio is of: the first of that name. */
  readonly ratioTo?: string;
}

/** @param ceiling - GFLOP/s of one thread */
export function timedRows(entries: readonly Entry[], effort: Effort, ceiling: number | null): Row[] {
  const timings = measure(
    entries.flatMap(({ run, before, whole }, i) => [
      { name: `${i}`, run, ...(before && { before }) },
      ...(whole === undefined ? [] : [{ name: `${i} whole`, run: whole }]),
    ]),
    effort,
  );
  return entries.map(({ rt, operation, shape, flops, contestant = PACKAGE, ratioTo }, i) => {
    const timing = timings.get(`${i}`)!;
    const at = entries.findIndex((one) => one.operation === ratioTo && one.contestant === undefined);
    const base = entries[at];
    return ownRow(rt, [operation, shape], timing, flops, ceiling, {
      ...{ contestant, endToEnd: timings.get(`${i} whole`) ?? null },
      ...(contestant !== PACKAGE && { kernels: 'none' }),
      ...(base !== undefined && {
        ratio: pairedRatio(timing, timings.get(`${at}`)!),
        flopRatio: flops === base.flops ? 1 : flops / base.flops,
        ratioTo: base.operation,
      }),
    });
  });
}

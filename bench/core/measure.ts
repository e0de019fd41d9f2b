/**
 * Timing: the contestants of one group run interleaved within one process over several rounds, each round one tinybench
 * run, the order reversed every round. A contestant's figure is the median of its round medians; the range is theirs too.
 */
import { Bench } from 'tinybench';
import type { Range } from './records.js';

/** What is timed. The function is verified and its set-up done before it comes here. */
interface Task {
  readonly name: string;
  readonly run: () => void;
  /** Called before each round and each warm-up, outside the time. */
  readonly before?: () => void;
}

export interface Effort {
  readonly rounds: number;
  /** Milliseconds that one contestant runs in one round, at least. */
  readonly roundMs: number;
  /** Samples of a round, at least; the first find the caches as the others left them. Default 1. */
  readonly samples?: number;
  /** Milliseconds; default: the time of day. The process's own time leaves out what others on its core take. */
  readonly clock?: () => number;
}

/** A contestant whose call takes longer than this sits out after three rounds. */
const SLOW_MS = 150;
const SLOW_ROUNDS = 3;
/** A sample takes this many steps of the clock at least: its grain is a hundredth. */
const STEPS = 100;

/** Times a group. */
export function measure(tasks: readonly Task[], effort: Effort): Map<string, Range> {
  const slow = new Set(tasks.filter((task) => warmUp(task, effort.roundMs) > SLOW_MS));
  const calls = new Map(
    tasks.map(({ name, run, before }) => {
      before?.();
      return [name, callsASample(run, effort.clock)];
    }),
  );
  const rounds = new Map<string, number[]>(tasks.map(({ name }) => [name, []]));
  for (let round = 0; round < effort.rounds; round++) {
    const running = tasks.filter((task) => round < SLOW_ROUNDS || !slow.has(task));
    if (round % 2 === 1) running.reverse();
    for (const [name, ms] of takeTurns(running, effort, calls)) rounds.get(name)!.push(ms);
  }
  return new Map([...rounds].map(([name, medians]) => [name, summarise(medians)]));
}

/** One round: each task in turn, and its median in milliseconds a call. */
function takeTurns(
  tasks: readonly Task[],
  { roundMs, samples = 1, clock }: Effort,
  calls: ReadonlyMap<string, number>,
): [string, number][] {
  const now = clock === undefined ? {} : { now: clock };
  const bench = new Bench({ time: roundMs, iterations: samples, warmup: false, throws: true, ...now });
  for (const { name, run, before } of tasks)
    bench.add(name, repeated(run, calls.get(name)!), before === undefined ? {} : { beforeAll: before });
  return bench.runSync().map(({ name, result }) => {
    if (result.state !== 'completed')
      throw new Error(`measure: ${name} is ${result.state}, expected completed`);
    return [name, result.latency.p50 / calls.get(name)!];
  });
}

/** Calls until `ms` have passed, once at least, so that the engine's best compiler has seen it; gives the last call's time. */
function warmUp({ run, before: prepare }: Task, ms: number): number {
  prepare?.();
  const start = performance.now();
  for (let before = start; ; ) {
    run();
    const now = performance.now();
    if (now - start >= ms) return now - before;
    before = now;
  }
}

/**
 * Calls that make one sample: as many as fill a hundred steps of the clock. A page's clock goes in steps of 5 µs, Node's is
 * so fine that only calls of a few microseconds are taken together.
 */
export function callsASample(run: () => void, clock: () => number = () => performance.now()): number {
  const least = leastSample(clock);
  for (let calls = 1; ; calls *= 2) {
    let shortest = Number.POSITIVE_INFINITY;
    // Another process on the core makes a try longer than it is, seldom three.
    for (let i = 0; i < 3; i++) {
      const start = clock();
      repeated(run, calls)();
      shortest = Math.min(shortest, clock() - start);
    }
    if (shortest >= least) return calls;
  }
}

/** Milliseconds that a sample lasts at least. */
export function leastSample(clock: () => number = () => performance.now()): number {
  return STEPS * clockStep(clock);
}

/** The smallest of several steps of the clock, in milliseconds. */
function clockStep(clock: () => number): number {
  let step = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 20; i++) {
    const start = clock();
    let now = start;
    while (now === start) now = clock();
    step = Math.min(step, now - start);
  }
  return step;
}

function repeated(run: () => void, calls: number): () => void {
  if (calls === 1) return run;
  return () => {
    for (let i = 0; i < calls; i++) run();
  };
}

/** @internal */
export function summarise(rounds: number[]): Range {
  return { median: medianOf(rounds), min: Math.min(...rounds), max: Math.max(...rounds), rounds };
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Ratio a/b as the median over the rounds that both ran: noise that moves both within a round cancels. */
export function pairedRatio(a: Pick<Range, 'rounds'>, b: Pick<Range, 'rounds'>): number {
  return pairedRatios(a, b).median;
}

/** The same with its range. */
export function pairedRatios(a: Pick<Range, 'rounds'>, b: Pick<Range, 'rounds'>): Range {
  const count = Math.min(a.rounds.length, b.rounds.length);
  return summarise(Array.from({ length: count }, (_, i) => a.rounds[i]! / b.rounds[i]!));
}

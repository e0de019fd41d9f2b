/**
 * Contestants in turns over many short rounds, the order reversed every round, on the clock of the process: another process
 * on the same core then costs what it leaves in the caches, and not the time that it takes.
 */
import { medianOf } from '../measure.js';
import { gflopsOf } from '../records.js';

export interface Contestant {
  readonly name: string;
  readonly run: () => void;
}

export interface Effort {
  readonly rounds: number;
  /** Milliseconds that a contestant runs in a round, at least; one call at least. */
  readonly roundMs: number;
}

export interface Speeds {
  /** GFLOP/s: median of the rounds. */
  readonly gflops: number;
  /** Tenth and ninetieth percentile of the rounds. */
  readonly low: number;
  readonly high: number;
}

/** Milliseconds a call in each round, after a round that is not kept. */
export function takeTurns(contestants: readonly Contestant[], effort: Effort): Map<string, number[]> {
  const times = new Map<string, number[]>(contestants.map(({ name }) => [name, []]));
  for (let round = 0; round <= effort.rounds; round++) {
    for (const { name, run } of round % 2 === 0 ? contestants : contestants.toReversed()) {
      const ms = callMs(run, effort.roundMs);
      if (round > 0) times.get(name)!.push(ms);
    }
  }
  return times;
}

function callMs(run: () => void, least: number): number {
  const start = ownMs();
  for (let calls = 1; ; calls++) {
    run();
    const passed = ownMs() - start;
    if (passed >= least) return passed / calls;
  }
}

/** Milliseconds that this process computed. */
function ownMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** @param rounds - milliseconds that so many flops took */
export function speedsOf(flops: number, rounds: readonly number[]): Speeds {
  const sorted = [...rounds].sort((a, b) => a - b);
  const at = (share: number): number => gflopsOf(flops, sorted[Math.round(share * (sorted.length - 1))]!);
  return { gflops: gflopsOf(flops, medianOf(rounds)), low: at(0.9), high: at(0.1) };
}

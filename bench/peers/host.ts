/**
 * One contestant in a process or page of its own: loaded for a number of threads, then for each operation and shape prepared,
 * verified, warmed up and timed a round at a time, so that whoever drives several can interleave their rounds.
 */
import { leastSample, medianOf } from '../core/measure.js';
import { type Operation, type Prepared, problemOf, type Shape, Twin } from '../core/problem.js';
import { labelOf } from '../core/records.js';
import type { Contestants, Peer, Place } from './peer.js';

export type PeerInfo = Pick<Peer, 'name' | 'variant' | 'version' | 'settings' | 'kernels' | 'threads'>;

/** What crosses a process's or a page's border: plain values only. */
export interface Host {
  load(name: string, threads: number): Promise<PeerInfo | { readonly reason: string }>;
  /** Verifies and warms up. Says why it does not take part, with what it lacks at every shape alike; null where it does. */
  prepare(
    operation: Operation,
    shape: Shape,
  ): Promise<{ readonly reason: string; readonly always: boolean } | null>;
  /** Median ms a call, running `ms` at least after a pause of `settleMs`. */
  round(ms: number, settleMs: number): Promise<number>;
  /** Ends the present operation. */
  clear(): Promise<void>;
}

const WARM_UP_MS = 200;
/** After a pause: threads are to be awake, caches filled and the clock up before a call counts. */
const WAKE_UP_MS = 20;

/** An error's first line, without the folders of this machine. */
export function reasonOf(error: unknown): string {
  const [line] = (error instanceof Error ? error.message : String(error)).split('\n');
  return line!
    .replace(/ imported from .*/, '')
    .replace(/(?<![\w@.:/])\/(?:[\w.@-]+\/)+/g, '')
    .slice(0, 200);
}

/** The host of this process or page: its methods can be asked by name. */
export function localHost(contestants: Contestants, placeOf: (threads: number) => Promise<Place>): Host {
  let peer: Peer;
  let prepared: Prepared | null = null;
  /** Calls that make one sample. */
  let calls = 1;
  let twin: { readonly key: string; readonly twin: Twin } | null = null;

  const load: Host['load'] = async (label, threads) => {
    try {
      peer = await (await contestants[label]!())(await placeOf(threads));
    } catch (error) {
      return { reason: reasonOf(error) };
    }
    const { lacks: _, prepare: __, ...info } = peer;
    return info;
  };

  const prepare: Host['prepare'] = async (operation, shape) => {
    const lack = peer.lacks[operation];
    if (lack !== undefined) return { reason: lack, always: true };
    const problem = problemOf(shape);
    const key = JSON.stringify(shape);
    if (twin?.key !== key) twin = { key, twin: new Twin(problem) };
    try {
      prepared = await peer.prepare(operation, problem);
      await twin.twin.check(labelOf({ ...peer, contestant: peer.name }), operation, prepared);
      const count = await warmUp(prepared, WARM_UP_MS);
      calls = Math.ceil((leastSample() * count) / WARM_UP_MS);
      return null;
    } catch (error) {
      await clear();
      return { reason: reasonOf(error), always: false };
    }
  };

  const round: Host['round'] = async (ms, settleMs) => {
    if (settleMs > 0) {
      await new Promise((resolve) => setTimeout(resolve, settleMs));
      await warmUp(prepared!, WAKE_UP_MS);
    }
    return prepared!.time === undefined ? sampled(prepared!, ms, calls) : prepared!.time(ms);
  };

  const clear: Host['clear'] = async () => {
    prepared?.dispose();
    prepared = null;
  };
  return { load, prepare, round, clear };
}

/** Calls for `ms`, at first until the engine's best compiler has seen it; gives how many there were. */
async function warmUp(prepared: Prepared, ms: number): Promise<number> {
  if (prepared.time !== undefined) {
    await prepared.time(ms);
    return 1;
  }
  const start = performance.now();
  for (let count = 1; ; count++) {
    await prepared.run();
    if (performance.now() - start >= ms) return count;
  }
}

/** The median over samples of `calls` each, for `ms`. What gives no promise is not awaited. */
async function sampled(prepared: Prepared, ms: number, calls: number): Promise<number> {
  const times: number[] = [];
  const start = performance.now();
  for (let before = start; before - start < ms || times.length === 0; ) {
    for (let i = 0; i < calls; i++) {
      const result = prepared.run();
      if (result instanceof Promise) await result;
    }
    const now = performance.now();
    times.push((now - before) / calls);
    before = now;
  }
  return medianOf(times);
}

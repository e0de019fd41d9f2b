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

/** The host of this process or page. */
export class LocalHost implements Host {
  readonly #contestants: Contestants;
  readonly #place: (threads: number) => Promise<Place>;
  #peer: Peer | null = null;
  #prepared: Prepared | null = null;
  /** Calls that make one sample. */
  #calls = 1;
  #twin: { readonly key: string; readonly twin: Twin } | null = null;

  constructor(contestants: Contestants, place: (threads: number) => Promise<Place>) {
    this.#contestants = contestants;
    this.#place = place;
  }

  async load(label: string, threads: number): ReturnType<Host['load']> {
    try {
      this.#peer = await (await this.#contestants[label]!())(await this.#place(threads));
    } catch (error) {
      return { reason: reasonOf(error) };
    }
    const { name, variant, version, settings, kernels, threads: own } = this.#peer;
    return { name, ...(variant !== undefined && { variant }), version, settings, kernels, threads: own };
  }

  async prepare(operation: Operation, shape: Shape): ReturnType<Host['prepare']> {
    const peer = this.#peer!;
    const lack = peer.lacks[operation];
    if (lack !== undefined) return { reason: lack, always: true };
    const problem = problemOf(shape);
    const key = JSON.stringify(shape);
    if (this.#twin?.key !== key) this.#twin = { key, twin: new Twin(problem) };
    try {
      this.#prepared = await peer.prepare(operation, problem);
      await this.#twin.twin.check(labelOf({ ...peer, contestant: peer.name }), operation, this.#prepared);
      const count = await warmUp(this.#prepared, WARM_UP_MS);
      this.#calls = Math.ceil((leastSample() * count) / WARM_UP_MS);
      return null;
    } catch (error) {
      await this.clear();
      return { reason: reasonOf(error), always: false };
    }
  }

  async round(ms: number, settleMs: number): Promise<number> {
    const prepared = this.#prepared!;
    if (settleMs > 0) {
      await new Promise((resolve) => setTimeout(resolve, settleMs));
      await warmUp(prepared, WAKE_UP_MS);
    }
    return prepared.time === undefined ? sampled(prepared, ms, this.#calls) : prepared.time(ms);
  }

  async clear(): Promise<void> {
    this.#prepared?.dispose();
    this.#prepared = null;
  }
}

/** A host's methods, to be asked by name. */
export function callsOf(contestants: Contestants, place: (threads: number) => Promise<Place>) {
  const host = new LocalHost(contestants, place);
  return {
    load: (...args: Parameters<Host['load']>) => host.load(...args),
    prepare: (...args: Parameters<Host['prepare']>) => host.prepare(...args),
    round: (...args: Parameters<Host['round']>) => host.round(...args),
    clear: () => host.clear(),
  };
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

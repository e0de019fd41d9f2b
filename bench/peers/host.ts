/**
 * One engine's contestants at one number of threads: loaded, then for each operation and shape prepared, verified, warmed
 * up and timed a round at a time, so that whoever drives several hosts can interleave their rounds.
 */
import { Bench } from 'tinybench';
import { threadsText } from '../core/chart.js';
import { leastSample } from '../core/measure.js';
import { type Operation, type Prepared, problemOf, type Shape, shapeOf, Twin } from '../core/problem.js';
import { labelOf, type NotMeasured } from '../core/records.js';
import type { Contestants } from './contestants.js';
import type { Peer, Place } from './peer.js';

export type PeerInfo = Pick<Peer, 'name' | 'variant' | 'version' | 'settings' | 'kernels' | 'threads'> & {
  /** As rounds name it. */
  readonly label: string;
};

/** What crosses a process's or a page's border: plain values only. */
export interface Host {
  load(names: readonly string[], threads: number): Promise<{ peers: PeerInfo[]; missing: NotMeasured[] }>;
  /** Labels of those that are verified and ready for rounds. */
  prepare(operation: Operation, shape: Shape): Promise<{ ready: string[]; missing: NotMeasured[] }>;
  /** Median ms a call of each by its label, each running `ms` at least after a pause of `settleMs`. */
  round(ms: number, settleMs: number, reversed: boolean): Promise<Record<string, number>>;
  /** Ends the present operation. */
  clear(): Promise<void>;
}

const EVERY_OPERATION = 'every operation';
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

interface Ready {
  readonly prepared: Prepared;
  readonly async: boolean;
  /** Calls that make one sample. */
  readonly calls: number;
}

/** The host of this process or page. */
export class LocalHost implements Host {
  readonly #contestants: Contestants;
  readonly #place: (threads: number) => Promise<Place>;
  #peers: Peer[] = [];
  #prepared = new Map<string, Ready>();
  #twin: { readonly key: string; readonly twin: Twin } | null = null;

  constructor(contestants: Contestants, place: (threads: number) => Promise<Place>) {
    this.#contestants = contestants;
    this.#place = place;
  }

  async load(names: readonly string[], threads: number): ReturnType<Host['load']> {
    const missing: NotMeasured[] = [];
    const place = await this.#place(threads);
    for (const name of names) {
      try {
        this.#peers.push(await (await this.#contestants[name]!())(place));
      } catch (error) {
        const operation = `${EVERY_OPERATION}, ${threadsText(threads)}`;
        missing.push({ contestant: name, operation, reason: reasonOf(error) });
      }
    }
    return { peers: this.#peers.map(infoOf), missing };
  }

  async prepare(operation: Operation, shape: Shape): ReturnType<Host['prepare']> {
    const missing: NotMeasured[] = [];
    const problem = problemOf(shape);
    const key = JSON.stringify(shape);
    if (this.#twin?.key !== key) this.#twin = { key, twin: new Twin(problem) };
    for (const peer of this.#peers) {
      const { label } = infoOf(peer);
      const miss = (reason: string, text: string = operation): void =>
        void missing.push({ contestant: label, operation: text, reason });
      const lack = peer.lacks[operation];
      if (lack !== undefined) {
        miss(lack);
        continue;
      }
      let prepared: Prepared | null = null;
      try {
        prepared = await peer.prepare(operation, problem);
        await this.#twin.twin.check(label, operation, prepared);
        this.#prepared.set(label, {
          ...(await warmUp(prepared, WARM_UP_MS)),
          calls: await callsOf(prepared),
          prepared,
        });
      } catch (error) {
        prepared?.dispose();
        miss(reasonOf(error), `${operation}, ${shapeOf(shape, operation)}, ${threadsText(peer.threads)}`);
      }
    }
    return { ready: [...this.#prepared.keys()], missing };
  }

  async round(ms: number, settleMs: number, reversed: boolean): Promise<Record<string, number>> {
    const running = [...this.#prepared];
    if (reversed) running.reverse();
    const times: Record<string, number> = {};
    for (const [label, { prepared, async, calls }] of running) {
      if (settleMs > 0) {
        await new Promise((resolve) => setTimeout(resolve, settleMs));
        await warmUp(prepared, WAKE_UP_MS);
      }
      if (prepared.time !== undefined) {
        times[label] = await prepared.time(ms);
        continue;
      }
      const bench = new Bench({ time: ms, iterations: 1, warmup: false, throws: true });
      bench.add(label, async ? () => inTurn(prepared, calls) : () => atOnce(prepared, calls), { async });
      const [task] = await bench.run();
      const { result } = task!;
      if (result.state !== 'completed')
        throw new Error(`round: ${label} is ${result.state}, expected completed`);
      times[label] = result.latency.p50 / calls;
    }
    return times;
  }

  async clear(): Promise<void> {
    for (const { prepared } of this.#prepared.values()) prepared.dispose();
    this.#prepared.clear();
  }
}

function infoOf({ name, variant, version, settings, kernels, threads }: Peer): PeerInfo {
  const ways = variant === undefined ? {} : { variant };
  const label = labelOf({ contestant: name, ...ways });
  return { name, ...ways, label, version, settings, kernels, threads };
}

/** Calls for `ms`, at first until the engine's best compiler has seen it; tells whether a call is to be awaited. */
async function warmUp(prepared: Prepared, ms: number): Promise<{ async: boolean }> {
  if (prepared.time !== undefined) {
    await prepared.time(ms);
    return { async: true };
  }
  const start = performance.now();
  for (;;) {
    const result = prepared.run();
    await result;
    if (performance.now() - start >= ms) return { async: result instanceof Promise };
  }
}

/** Calls that make one sample, as `callsASample` of measure.ts for what may be asynchronous. */
async function callsOf(prepared: Prepared): Promise<number> {
  if (prepared.time !== undefined) return 1;
  const least = leastSample();
  for (let calls = 1; ; calls *= 2) {
    let shortest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 3; i++) {
      const start = performance.now();
      await inTurn(prepared, calls);
      shortest = Math.min(shortest, performance.now() - start);
    }
    if (shortest >= least) return calls;
  }
}

async function inTurn(prepared: Prepared, calls: number): Promise<void> {
  for (let i = 0; i < calls; i++) await prepared.run();
}

function atOnce(prepared: Prepared, calls: number): void {
  for (let i = 0; i < calls; i++) void prepared.run();
}

/** Drives the hosts of one engine: all contestants of one operation and shape in one interleaved run of rounds. */
import { threadsText } from '../core/chart.js';
import { type Effort, summarise } from '../core/measure.js';
import { flopsOf, OPERATIONS, type Operation, type Shape, shapeOf } from '../core/problem.js';
import { labelOf, type NotMeasured, ownRow, type Row } from '../core/records.js';
import type { Host, PeerInfo } from './host.js';
import { SHAPES } from './peer.js';

/** How long a comparison measures. */
export interface PeerEffort extends Effort {
  /** Milliseconds without work before a contestant's turn: the threads of the one before look for work that long. */
  readonly settleMs: number;
}

export interface PeerRow extends Row {
  readonly version: string;
  readonly settings: string;
}

/** One contestant on so many threads, in a host of its own. */
export interface Party {
  readonly host: Host;
  readonly name: string;
  readonly threads: number;
}

export interface Outcome {
  readonly rows: PeerRow[];
  readonly notMeasured: NotMeasured[];
}

type Loaded = Party & { readonly peer: PeerInfo };

/** Runs everything. `shapes` may be fewer for a quick run. */
export async function drive(
  parties: readonly Party[],
  effort: PeerEffort,
  progress: (text: string) => void,
  shapes: readonly Shape[] = SHAPES,
): Promise<Outcome> {
  const rows: PeerRow[] = [];
  // By what they say: what a contestant lacks is the same at every shape.
  const missing = new Map<string, NotMeasured>();
  const miss = (contestant: string, operation: string, reason: string): void =>
    void missing.set([contestant, operation, reason].join(), { contestant, operation, reason });
  const loaded: Loaded[] = [];
  for (const party of parties) {
    const peer = await party.host.load(party.name, party.threads);
    if ('reason' in peer) miss(party.name, `every operation, ${threadsText(party.threads)}`, peer.reason);
    else loaded.push({ ...party, peer });
  }
  for (const shape of shapes)
    for (const operation of OPERATIONS) {
      if (shape.r === null && operation !== 'linear forward') continue;
      const title = `${operation}, ${shapeOf(shape, operation)}`;
      progress(title);
      const ready: Loaded[] = [];
      for (const one of loaded) {
        const why = await one.host.prepare(operation, shape);
        const at = why?.always ? operation : `${title}, ${threadsText(one.threads)}`;
        if (why === null) ready.push(one);
        else miss(labelOf({ ...one.peer, contestant: one.peer.name }), at, why.reason);
      }
      const times = await interleave(ready, effort);
      for (const { host } of ready) await host.clear();
      rows.push(...ready.map(({ peer }, i) => rowOf(peer, operation, shape, times[i]!)));
    }
  return { rows, notMeasured: [...missing.values()] };
}

/** Rounds of all in turn, the order reversed every round. */
async function interleave(
  ready: readonly Loaded[],
  { rounds, roundMs, settleMs }: PeerEffort,
): Promise<number[][]> {
  const times = ready.map((): number[] => []);
  const order = [...ready.keys()];
  for (let round = 0; round < rounds; round++, order.reverse())
    for (const i of order) times[i]!.push(await ready[i]!.host.round(roundMs, settleMs));
  return times;
}

function rowOf(peer: PeerInfo, operation: Operation, shape: Shape, rounds: number[]): PeerRow {
  const { name: contestant, variant, version, settings } = peer;
  const flops = flopsOf(shape, operation);
  const at = [operation, shapeOf(shape, operation)] as const;
  const row = ownRow({ info: () => peer }, at, summarise(rounds), flops, null, { contestant });
  return { ...row, ...(variant !== undefined && { variant }), version, settings };
}

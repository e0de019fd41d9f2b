/** Drives the hosts of one engine: all contestants of one operation and shape in one interleaved run of rounds. */
import { type Effort, summarise } from '../core/measure.js';
import { flopsOf, OPERATIONS, type Operation, type Shape, shapeOf } from '../core/problem.js';
import { type NotMeasured, ownRow, type Row } from '../core/records.js';
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

/** One host: who runs there, on how many threads. */
export interface Party {
  readonly host: Host;
  readonly names: readonly string[];
  readonly threads: number;
}

export interface Outcome {
  readonly rows: PeerRow[];
  readonly notMeasured: NotMeasured[];
}

/** Runs everything. `shapes` and `operations` may be fewer for a quick run. */
export async function drive(
  parties: readonly Party[],
  effort: PeerEffort,
  progress: (text: string) => void,
  shapes: readonly Shape[] = SHAPES,
): Promise<Outcome> {
  const rows: PeerRow[] = [];
  const notMeasured: NotMeasured[] = [];
  const infos: Map<string, PeerInfo>[] = [];
  for (const { host, names, threads } of parties) {
    const { peers, missing } = await host.load(names, threads);
    infos.push(new Map(peers.map((peer) => [peer.label, peer])));
    notMeasured.push(...missing);
  }
  for (const shape of shapes) {
    for (const operation of OPERATIONS) {
      if (shape.r === null && operation !== 'linear forward') continue;
      progress(`${operation}, ${shapeOf(shape, operation)}`);
      for (const { host } of parties) notMeasured.push(...(await host.prepare(operation, shape)).missing);
      const times = await interleave(parties, effort);
      for (const { host } of parties) await host.clear();
      for (const [i, info] of infos.entries()) {
        for (const [label, rounds] of times[i]!) rows.push(rowOf(info.get(label)!, operation, shape, rounds));
      }
    }
  }
  return { rows, notMeasured: unique(notMeasured) };
}

/** Rounds over all hosts in turn, the order of hosts and of contestants reversed every round. */
async function interleave(
  parties: readonly Party[],
  { rounds: count, roundMs, settleMs }: PeerEffort,
): Promise<Map<string, number[]>[]> {
  const times = parties.map(() => new Map<string, number[]>());
  const order = parties.map((_, i) => i);
  for (let round = 0; round < count; round++) {
    const reversed = round % 2 === 1;
    for (const i of reversed ? [...order].reverse() : order) {
      const medians = await parties[i]!.host.round(roundMs, settleMs, reversed);
      for (const [label, ms] of Object.entries(medians)) {
        const rounds = times[i]!.get(label) ?? [];
        rounds.push(ms);
        times[i]!.set(label, rounds);
      }
    }
  }
  return times;
}

function rowOf(peer: PeerInfo, operation: Operation, shape: Shape, rounds: number[]): PeerRow {
  const { name: contestant, variant, version, settings } = peer;
  const flops = flopsOf(shape, operation);
  const at = [operation, shapeOf(shape, operation)] as const;
  const row = ownRow({ info: () => peer }, at, summarise(rounds), flops, null, { contestant });
  return { ...row, ...(variant !== undefined && { variant }), version, settings };
}

function unique(list: readonly NotMeasured[]): NotMeasured[] {
  return [...new Map(list.map((entry) => [JSON.stringify(entry), entry])).values()];
}

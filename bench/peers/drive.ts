/** Drives the hosts of one engine: all contestants of one operation and shape in one interleaved run of rounds. */
import { summarise } from '../measure.js';
import { gflopsOf, type NotMeasured, type Row } from '../records.js';
import type { PeerEffort } from './effort.js';
import type { Host, PeerInfo } from './host.js';
import { OPERATIONS, type Operation } from './peer.js';
import { flopsOf, SHAPES, type Shape, shapeOf } from './problem.js';

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
  const timing = summarise(rounds);
  return {
    contestant: peer.name,
    ...(peer.variant !== undefined && { variant: peer.variant }),
    version: peer.version,
    settings: peer.settings,
    operation,
    shape: shapeOf(shape, operation),
    kernels: peer.kernels,
    threads: peer.threads,
    ...timing,
    gflops: gflopsOf(flopsOf(shape, operation), timing.median),
    percentOfCeiling: null,
    endToEnd: null,
    ratio: null,
    flopRatio: null,
    ratioTo: null,
  };
}

function unique(list: readonly NotMeasured[]): NotMeasured[] {
  return [...new Map(list.map((entry) => [JSON.stringify(entry), entry])).values()];
}

/**
 * What the package promises beside its peers, held against the rows of a comparison: how many times as fast it is on one
 * thread, and how many times as fast it could be, since nothing on 128-bit SIMD runs faster than the ceiling.
 */
import type { Goal } from '../core/goal.js';
import { pairedRatios, type Timing } from '../core/measure.js';
import type { Operation } from '../core/problem.js';
import { labelOf, PACKAGE, type Row, shapeText } from '../core/records.js';
import { ratioText } from '../core/table.js';

const SIZES = [256, 768, 768] as const;
const RANK = 8;
const FORWARD = { limit: 1.8, peers: ['onnxruntime-web', '@tensorflow/tfjs'] } as const;
/** Of every peer that has a backward on WebAssembly. */
const STEP = { limit: 3 } as const;

export interface PeerGoal {
  readonly operation: Operation;
  /** The peer's label. */
  readonly peer: string;
  /** Times as fast as the peer, at least. */
  readonly limit: number;
  /** Null, and so the rest, where the run did not measure both. */
  readonly result: {
    /** Times as fast as the peer: median and range over the rounds. */
    readonly times: Pick<Timing, 'median' | 'min' | 'max'>;
    readonly met: boolean;
    /** Percent of the ceiling of the build that ran. */
    readonly peerPercent: number;
    readonly ownPercent: number;
    /** Times as fast as the peer that a call at the ceiling itself would be. */
    readonly atCeiling: number;
  } | null;
}

/** Every goal with its figures. */
export function peerGoals(rows: readonly Row[]): PeerGoal[] {
  const step = rows.filter(
    (row) => row.operation === 'LoRA training step' && row.contestant !== PACKAGE && row.kernels !== 'native',
  );
  const withBackward = [...new Set(step.map(labelOf))];
  return [
    ...(['linear forward', 'LoRA forward'] as const).flatMap((operation) =>
      FORWARD.peers.map((peer) => goalOf(rows, operation, peer, FORWARD.limit)),
    ),
    ...withBackward.map((peer) => goalOf(rows, 'LoRA training step', peer, STEP.limit)),
  ];
}

/** The shape that the goals are about. */
export function goalShape(operation: Operation): string {
  return shapeText(...SIZES, operation === 'linear forward' ? null : RANK);
}

function goalOf(rows: readonly Row[], operation: Operation, peer: string, limit: number): PeerGoal {
  const shape = goalShape(operation);
  const find = (label: string): Row | undefined =>
    rows.find(
      (row) =>
        labelOf(row) === label && row.operation === operation && row.shape === shape && row.threads === 1,
    );
  const [own, other] = [find(PACKAGE), find(peer)];
  if (own === undefined || other === undefined || own.percentOfCeiling === null)
    return { operation, peer, limit, result: null };
  const times = pairedRatios(other, own);
  const ceiling = (100 * own.gflops) / own.percentOfCeiling;
  return {
    operation,
    peer,
    limit,
    result: {
      times,
      met: times.median >= limit,
      peerPercent: (100 * other.gflops) / ceiling,
      ownPercent: own.percentOfCeiling,
      atCeiling: ceiling / other.gflops,
    },
  };
}

/** Why a goal is missed, from its figures; nothing where it is met. */
export function whyMissed({ limit, result }: PeerGoal): string {
  if (result === null || result.met) return '';
  const { atCeiling } = result;
  if (atCeiling < limit) return `the ceiling allows ${atCeiling.toFixed(2)} at most`;
  return `would need ${((100 * limit) / atCeiling).toFixed(0)} % of the ceiling`;
}

/** A goal in words: what was measured, and why it is missed. */
export function peerGoalText(goal: PeerGoal): Goal {
  const { operation, peer, limit, result } = goal;
  const words = { goal: `${operation}, over ${peer}`, limit: `at least ${limit}x` };
  if (result === null) return { ...words, measured: null, met: null };
  const { times, met, peerPercent, ownPercent } = result;
  const parts = [
    ratioText(times),
    `at ${ownPercent.toFixed(0)} and ${peerPercent.toFixed(0)} % of the ceiling`,
    ...(met ? [] : [whyMissed(goal)]),
  ];
  return { ...words, measured: parts.join('; '), met };
}

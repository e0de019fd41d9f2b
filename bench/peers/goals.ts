/**
 * What the package promises beside its peers, held against the rows of a comparison: how many times as fast it is on one
 * thread, and how many times as fast it could be, since nothing on 128-bit SIMD runs faster than the ceiling.
 */
import { type Goal, goalOf } from '../core/goal.js';
import { pairedRatios } from '../core/measure.js';
import type { Operation } from '../core/problem.js';
import { labelOf, PACKAGE, type Row, shapeText } from '../core/records.js';
import { ratioText } from '../core/table.js';

const FORWARD = { limit: 1.8, peers: ['onnxruntime-web', '@tensorflow/tfjs'] } as const;
/** Of every peer that has a backward on WebAssembly. */
const STEP = { limit: 3 } as const;

/** The shape that the goals are about. */
export function goalShape(operation: Operation): string {
  return shapeText(256, 768, 768, operation === 'linear forward' ? null : 8);
}

/** Every goal with its figures. */
export function peerGoals(rows: readonly Row[]): Goal[] {
  const step = rows.filter(
    (row) => row.operation === 'LoRA training step' && row.contestant !== PACKAGE && row.kernels !== 'native',
  );
  const withBackward = [...new Set(step.map(labelOf))];
  return [
    ...(['linear forward', 'LoRA forward'] as const).flatMap((operation) =>
      FORWARD.peers.map((peer) => goalOver(rows, operation, peer, FORWARD.limit)),
    ),
    ...withBackward.map((peer) => goalOver(rows, 'LoRA training step', peer, STEP.limit)),
  ];
}

/** What was measured, and why the goal is missed. */
function goalOver(rows: readonly Row[], operation: Operation, peer: string, least: number): Goal {
  const shape = goalShape(operation);
  const find = (label: string): Row | undefined =>
    rows.find(
      (row) =>
        labelOf(row) === label && row.operation === operation && row.shape === shape && row.threads === 1,
    );
  const [own, other] = [find(PACKAGE), find(peer)];
  const named = [`${operation}, over ${peer}`, `at least ${least}x`] as const;
  if (own === undefined || other === undefined || own.percentOfCeiling === null)
    return goalOf(...named, null);
  const times = pairedRatios(other, own);
  const met = times.median >= least;
  const ceiling = (100 * own.gflops) / own.percentOfCeiling;
  const shares = [own, other].map(({ gflops }) => ((100 * gflops) / ceiling).toFixed(0));
  const parts = [ratioText(times), `at ${shares.join(' and ')} % of the ceiling`];
  if (!met) parts.push(whyMissed(least, ceiling / other.gflops));
  return goalOf(...named, { measured: parts.join('; '), met });
}

/** @param atCeiling - times as fast as the peer that a call at the ceiling itself would be */
function whyMissed(least: number, atCeiling: number): string {
  if (atCeiling < least) return `the ceiling allows ${atCeiling.toFixed(2)} at most`;
  return `would need ${((100 * least) / atCeiling).toFixed(0)} % of the ceiling`;
}

/** What the package promises of a language model's kernels, held against the rows of a run. */
import { atMost, type Goal } from '../core/goal.js';
import { pairedRatios, summarise, type Timing } from '../core/measure.js';
import type { Report, Row } from '../core/records.js';
import { ATTENTION, attentionShape } from './attention.js';
import { GRADIENT, headShape, kindShape, layerShape, nameOf, type Operation, PRODUCT } from './products.js';
import { layerKinds, SMOLLM2 } from './weights.js';

/** Of float32's speed: over a layer's matrices, and at the least over those of one kind. */
const SPEEDS: readonly (readonly [Operation, M: number, all: number, each: number | null])[] = [
  [PRODUCT, 256, 0.98, null],
  [PRODUCT, 64, 1, null],
  [PRODUCT, 32, 1, null],
  [GRADIENT, 256, 0.97, 0.95],
  [GRADIENT, 32, 0.95, 0.9],
];
const TOKEN_SPEED = 1.15;
/** Percent of the fused ceiling at T = 256. */
const ATTENTION_PERCENT = 60;

type Measured = Pick<Report, 'rows' | 'ceilings'>;

export function llmGoals({ rows, ceilings }: Measured): Goal[] {
  const find = (operation: string, shape: string): Row | undefined =>
    rows.find((row) => row.operation === operation && row.shape === shape);
  const ratioOf = (operation: Operation, shape: string): Timing | null => {
    const [stored, plain] = [
      find(nameOf(operation, 'stored'), shape),
      find(nameOf(operation, 'plain'), shape),
    ];
    return stored === undefined || plain === undefined ? null : pairedRatios(stored, plain);
  };
  const limitOf = (speed: number): number => Number((1 / speed).toFixed(3));
  const goals = SPEEDS.flatMap(([operation, M, all, each]): Goal[] => {
    const whole = atMost(
      `${operation} of ${M} rows, times of float32's time`,
      ratioOf(operation, layerShape(M)),
      limitOf(all),
    );
    if (each === null) return [whole];
    const ratios = layerKinds(SMOLLM2).flatMap((kind) => ratioOf(operation, kindShape(M, kind)) ?? []);
    const worst = ratios.sort((a, b) => b.median - a.median)[0] ?? null;
    return [whole, atMost(`${operation} of ${M} rows, the slowest kind of matrix`, worst, limitOf(each))];
  });
  return [
    ...goals,
    atMost("one row over all matrices, times of float32's time", tokenRatio(find), limitOf(TOKEN_SPEED)),
    attentionGoal(find(ATTENTION, attentionShape(256)), ceilings.fused),
  ];
}

/** All layers and the head, round by round. */
function tokenRatio(find: (operation: string, shape: string) => Row | undefined): Timing | null {
  const timeOf = (form: 'stored' | 'plain'): number[] | null => {
    const name = nameOf(PRODUCT, form);
    const [layer, head] = [find(name, layerShape(1)), find(name, headShape(1))];
    if (layer === undefined || head === undefined) return null;
    return layer.rounds.flatMap((ms, i) =>
      head.rounds[i] === undefined ? [] : [SMOLLM2.layers * ms + head.rounds[i]],
    );
  };
  const [stored, plain] = [timeOf('stored'), timeOf('plain')];
  return stored === null || plain === null ? null : pairedRatios(summarise(stored), summarise(plain));
}

function attentionGoal(row: Row | undefined, fused: number | null): Goal {
  const goal = `${ATTENTION} of 256 positions, of the fused ceiling`;
  const limit = `at least ${ATTENTION_PERCENT} %`;
  if (row === undefined || fused === null) return { goal, limit, measured: null, met: null };
  const percent = (100 * row.gflops) / fused;
  return { goal, limit, measured: `${percent.toFixed(0)} %`, met: percent >= ATTENTION_PERCENT };
}

/** What the package promises about speed, held against the rows of a run. */
import { speedRange } from '../core/chart.js';
import { atMost, type Goal, goalOf } from '../core/goal.js';
import { pairedRatios } from '../core/measure.js';
import {
  type Ceilings,
  MNIST_SHAPE,
  OP,
  PACKAGE,
  type Range,
  type Report,
  type Row,
  shapeText,
} from '../core/records.js';
import { rangeText, ratioText } from '../core/table.js';

export const PRODUCT_SIZES = { M: 240, N: 960, K: 768 } as const;

/** Shapes whose LoRA forward is held against its flops. */
const FORWARD_SHAPE = /^M=(64|256) N=768 K=768 r=/;

/** Every goal with its figure. Ratios are medians of the rounds' ratios, contestants interleaved, with their range. */
export function goalsOf({ rows, ceilings }: Pick<Report, 'rows' | 'ceilings'>): Goal[] {
  const find = (operation: string, shape: string): Row | undefined =>
    rows.find((row) => row.contestant === PACKAGE && row.operation === operation && row.shape === shape);
  const { M, N, K } = PRODUCT_SIZES;
  const layer = shapeText(256, 768, 768, 8);
  const over = (a: string, b: string, shape: string): Range | null => {
    const [row, base] = [find(a, shape), find(b, shape)];
    return row === undefined || base === undefined ? null : pairedRatios(row, base);
  };
  const stepLimit = find(OP.loraStep, MNIST_SHAPE)?.kernels === 'simd' ? 0.45 : 0.4;
  const ratioGoal = (goal: string, [a, b]: readonly [string, string], shape: string, limit: number): Goal =>
    atMost(goal, over(a, b, shape), limit);
  const [fused, steps] = [[OP.fused, OP.forward] as const, [OP.loraStep, OP.fullStep] as const];
  return [
    productGoal(find(OP.product, shapeText(M, N, K)), ceilings),
    ratioGoal('Fused LoRA forward over the plain product, 768x768, r=8, batch 256', fused, layer, 1.05),
    forwardGoal(
      rows.filter((row) => row.operation === OP.fused && FORWARD_SHAPE.test(row.shape)),
      (shape) => over(...fused, shape),
    ),
    ratioGoal('LoRA step over the full step, MNIST network, batch 10', steps, MNIST_SHAPE, stepLimit),
    ratioGoal(
      'The same LoRA step over its own forward and dx products',
      [OP.loraStep, OP.ownProducts],
      MNIST_SHAPE,
      1.15,
    ),
    shareGoal(over(OP.replay, OP.loraStep, MNIST_SHAPE)),
    ratioGoal('LoRA step over the full step, 768x768, batch 256, r=8', steps, layer, 0.72),
  ];
}

/** The row that is furthest above its flops. */
function forwardGoal(rows: readonly Row[], ratioAt: (shape: string) => Range | null): Goal {
  const [worst] = rows
    .flatMap(({ shape, flopRatio }) => {
      const ratio = ratioAt(shape);
      return ratio === null || flopRatio === null ? [] : [{ shape, times: scaled(ratio, 1 / flopRatio) }];
    })
    .sort((a, b) => b.times.median - a.times.median);
  return goalOf(
    'Fused LoRA forward over the plain product, 768x768, batch 64 and 256, every rank',
    'at most 1.02 times 1 + r(d+k)/(dk)',
    worst && {
      measured: `${ratioText(worst.times, 3)} times, ${worst.shape}`,
      met: worst.times.median <= 1.02,
    },
  );
}

function scaled({ median, min, max }: Range, by: number): Pick<Range, 'median' | 'min' | 'max'> {
  return { median: by * median, min: by * min, max: by * max };
}

/** Time of a step's kernel calls alone over the step's. */
function shareGoal(share: Range | null): Goal {
  const result = share && { measured: `${rangeText(scaled(share, 100))} %`, met: share.median >= 0.8 };
  return goalOf('Time inside WebAssembly in the same LoRA step', 'at least 80 %', result);
}

/** Relaxed SIMD: 92 % of the fused ceiling. Plain SIMD: 92 % of the plain one, or 70 % of the fused one. */
function productGoal(row: Row | undefined, { fused, plain }: Ceilings): Goal {
  const { M, N, K } = PRODUCT_SIZES;
  const relaxed = row?.kernels === 'relaxed-simd';
  return goalOf(
    `Plain product, ${shapeText(M, N, K)}`,
    `at least 92 % of the ${relaxed ? 'fused ceiling' : 'plain ceiling, or 70 % of the fused one'}`,
    row && productResult(row, relaxed, fused, plain),
  );
}

function productResult(
  row: Row,
  relaxed: boolean,
  fused: number | null,
  plain: number,
): Pick<Goal, 'measured' | 'met'> {
  const [ofFused, ofPlain] = [fused === null ? null : (100 * row.gflops) / fused, (100 * row.gflops) / plain];
  const { low, high } = speedRange(row);
  const parts = [
    `${row.gflops.toFixed(1)} (${low.toFixed(1)}-${high.toFixed(1)}) GFLOP/s`,
    ...(relaxed ? [] : [`${ofPlain.toFixed(1)} % of plain`]),
    ofFused === null ? 'fused ceiling not measured' : `${ofFused.toFixed(1)} % of fused`,
  ];
  if (relaxed) return { measured: parts.join(', '), met: ofFused === null ? null : ofFused >= 92 };
  return { measured: parts.join(', '), met: ofPlain >= 92 || (ofFused ?? 0) >= 70 };
}

/** What the package promises about speed, held against the rows of a run. */
import { type Ceilings, MNIST_SHAPE, OP, PACKAGE, type Report, type Row, shapeText } from './records.js';

export interface Goal {
  readonly goal: string;
  readonly limit: string;
  /** Null where the run did not measure it. */
  readonly measured: string | null;
  readonly met: boolean | null;
}

export const PRODUCT_SIZES = { M: 240, N: 960, K: 768 } as const;

/** Shapes whose LoRA forward is held against its flops. */
const FORWARD_SHAPE = /^M=(64|256) N=768 K=768 r=/;

/** Every goal with its figure. Ratios are medians of the rounds' ratios, contestants interleaved. */
export function goalsOf({ rows, ceilings }: Pick<Report, 'rows' | 'ceilings'>): Goal[] {
  const find = (operation: string, shape: string): Row | undefined =>
    rows.find((row) => row.contestant === PACKAGE && row.operation === operation && row.shape === shape);
  const { M, N, K } = PRODUCT_SIZES;
  const layer = shapeText(256, 768, 768, 8);
  const fused = find(OP.fused, layer)?.ratio ?? null;
  const step = find(OP.loraStep, MNIST_SHAPE);
  const own = find(OP.ownProducts, MNIST_SHAPE)?.ratio ?? null;
  const layerStep = find(OP.loraStep, layer)?.ratio ?? null;
  const stepLimit = step?.kernels === 'simd' ? 0.45 : 0.4;
  return [
    productGoal(find(OP.product, shapeText(M, N, K)), ceilings),
    atMost('Fused LoRA forward over the plain product, 768x768, r=8, batch 256', fused, 1.05),
    forwardGoal(rows.filter((row) => row.operation === OP.fused && FORWARD_SHAPE.test(row.shape))),
    atMost('LoRA step over the full step, MNIST network, batch 10', step?.ratio ?? null, stepLimit),
    atMost('The same LoRA step over its own forward and dx products', own === null ? null : 1 / own, 1.15),
    shareGoal(find(OP.replay, MNIST_SHAPE)?.ratio ?? null),
    atMost('LoRA step over the full step, 768x768, batch 256, r=8', layerStep, 0.72),
  ];
}

function atMost(goal: string, value: number | null, limit: number): Goal {
  const measured = value === null ? null : value.toFixed(3);
  return { goal, limit: `at most ${limit}`, measured, met: value === null ? null : value <= limit };
}

/** The row that is furthest above its flops. */
function forwardGoal(rows: readonly Row[]): Goal {
  const over = ({ ratio, flopRatio }: Row): number => ratio! / flopRatio!;
  const worst = rows.reduce<Row | null>(
    (top, row) => (top !== null && over(top) >= over(row) ? top : row),
    null,
  );
  return {
    goal: 'Fused LoRA forward over the plain product, 768x768, batch 64 and 256, every rank',
    limit: 'at most 1.02 times 1 + r(d+k)/(dk)',
    measured: worst === null ? null : `${over(worst).toFixed(3)} times, ${worst.shape}`,
    met: worst === null ? null : over(worst) <= 1.02,
  };
}

/** Time of a step's kernel calls alone over the step's. */
function shareGoal(share: number | null): Goal {
  return {
    goal: 'Time inside WebAssembly in the same LoRA step',
    limit: 'at least 80 %',
    measured: share === null ? null : `${(100 * share).toFixed(1)} %`,
    met: share === null ? null : share >= 0.8,
  };
}

/** Relaxed SIMD: 92 % of the fused ceiling. Plain SIMD: 92 % of the plain one, or 70 % of the fused one. */
function productGoal(row: Row | undefined, { fused, plain }: Ceilings): Goal {
  const { M, N, K } = PRODUCT_SIZES;
  const goal = `Plain product, ${shapeText(M, N, K)}`;
  const relaxed = row?.kernels === 'relaxed-simd';
  const limit = relaxed
    ? 'at least 92 % of the fused ceiling'
    : 'at least 92 % of the plain ceiling, or 70 % of the fused one';
  if (row === undefined) return { goal, limit, measured: null, met: null };
  const ofFused = fused === null ? null : (100 * row.gflops) / fused;
  const ofPlain = (100 * row.gflops) / plain;
  const speed = `${row.gflops.toFixed(1)} GFLOP/s`;
  const fusedText = ofFused === null ? 'fused ceiling not measured' : `${ofFused.toFixed(1)} % of fused`;
  if (relaxed)
    return { goal, limit, measured: `${speed}, ${fusedText}`, met: ofFused === null ? null : ofFused >= 92 };
  const met = ofPlain >= 92 || (ofFused ?? 0) >= 70;
  return { goal, limit, measured: `${speed}, ${ofPlain.toFixed(1)} % of plain, ${fusedText}`, met };
}

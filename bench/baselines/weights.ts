/**
 * What a weight of 16 bits costs beside the same numbers in float32: the products that read it, and a merge into it. Each
 * result is held against float64 over the weight's own values before anything is timed.
 */
import { Linear, type LoraLinear, type Runtime } from 'lora-wasm';
import { type Expected, verify } from '../../reference/check.js';
import { addProduct, asRows, newSums, roundingBound } from '../../reference/products.js';
import { randomArray } from '../../reference/random.js';
import type { QuantisedDType, WeightDType } from '../../src/values/dtypes.js';
import { adapted } from '../core/own.js';
import { BACKWARD_INPUT, FORWARD, type Product, placed, type Sizes } from '../core/products.js';
import { OP, type Row, shapeText } from '../core/records.js';
import { timedRows } from '../core/timed-rows.js';
import type { Context } from './forward.js';

/** Types of weights whose elements are numbers by themselves. */
type PlainDType = Exclude<WeightDType, QuantisedDType>;
const DTYPES: readonly PlainDType[] = ['f32', 'f16', 'bf16'];
const [PRODUCT, GRADIENT, MERGE] = ['product', 'input gradient', 'merge and unmerge'] as const;
const RANK = 8;
const SCALING = 2;
/** Half a step of each type beside its numbers, where these are no smaller than its subnormals. */
const HALF_STEP: Readonly<Record<PlainDType, number>> = { f32: 2 ** -24, f16: 2 ** -11, bf16: 2 ** -8 };

function overWeight(operation: string, dtype: PlainDType): string {
  return `${operation}, ${dtype} weight`;
}

/** Every operation of these rows. */
export const WEIGHT_OPERATIONS: readonly string[] = [PRODUCT, GRADIENT, MERGE].flatMap((operation) =>
  DTYPES.map((dtype) => overWeight(operation, dtype)),
);

/** The product alone, x·Wᵀ without layer or scope, at one shape: the row that is held against the ceiling. */
export function productRow(context: Context, M: number, N: number, K: number): Row[] {
  const shape = shapeText(M, N, K);
  return context.wanted(`${OP.product} ${shape}`)
    ? productRows(context, [M, N, K, 0], [[OP.product, FORWARD, 'f32']])
    : [];
}

/** Forward and input gradient of M rows over an [N, K] weight of each type. */
export function weightProductRows(context: Context, M: number, N: number, K: number): Row[] {
  if (!context.wanted(`16-bit weights ${shapeText(M, N, K)}`)) return [];
  const timed = DTYPES.flatMap((dtype): Timed[] => [
    [overWeight(PRODUCT, dtype), FORWARD, dtype],
    [overWeight(GRADIENT, dtype), BACKWARD_INPUT, dtype],
  ]);
  return productRows(context, [M, N, K, 0], timed);
}

type Timed = readonly [operation: string, product: Product, dtype: PlainDType];

function productRows({ rt, effort, ceiling }: Context, sizes: Sizes, timed: readonly Timed[]): Row[] {
  const [M, N, K] = sizes;
  const all = timed.map(([operation, product, dtype]) => {
    const one = placed(rt, product, sizes, { dtype });
    one.run();
    one.verify();
    return { ...one, operation, dtype };
  });
  const rows = timedRows(
    all.map(({ run, operation, dtype }) => ({
      ...{ rt, operation, run, shape: shapeText(M, N, K), flops: 2 * M * N * K },
      ...againstPlain(operation, dtype),
    })),
    effort,
    ceiling,
  );
  for (const one of all) one.dispose();
  return rows;
}

/** Rows of 16 bits have their ratio to float32. */
function againstPlain(operation: string, dtype: PlainDType): { readonly ratioTo?: string } {
  return dtype === 'f32' ? {} : { ratioTo: operation.replace(dtype, 'f32') };
}

/** Merging a LoRA layer into a [d, d] weight of each type, and giving its old bytes back. */
export function weightMergeRows({ rt, wanted, effort }: Context, d: number): Row[] {
  const shape = `N=${d} K=${d} r=${RANK}`;
  if (!wanted(`16-bit weights merge ${shape}`)) return [];
  const ws = randomArray(d * d, 1);
  const layers = DTYPES.map((dtype) => ({ dtype, ...mergeable(rt, ws, d, dtype) }));
  for (const { layer, dtype, expected } of layers) {
    layer.merge();
    verify(`${overWeight(MERGE, dtype)} ${shape}`, Float32Array.from(layer.weight.toArray()), expected);
    layer.unmerge();
  }
  const entries = layers.map(({ layer, dtype }) => {
    const operation = overWeight(MERGE, dtype);
    const run = (): void => {
      layer.merge();
      layer.unmerge();
    };
    return { rt, operation, shape, flops: 0, run, ...againstPlain(operation, dtype) };
  });
  // Handling is no arithmetic: there is no speed to state but the time.
  const rows = timedRows(entries, effort, null);
  for (const { layer } of layers) layer.dispose();
  return rows;
}

/** A LoRA layer over a weight of this type, and what its merged weight must be. */
function mergeable(
  rt: Runtime,
  ws: Float32Array,
  d: number,
  dtype: PlainDType,
): { layer: LoraLinear; expected: Expected } {
  const base = new Linear(rt, d, d, { bias: false, weight: rt.parameter(ws, [d, d], { dtype }) });
  const old = base.weight.toArray();
  const [a, b] = [randomArray(RANK * d, 4, 1 / Math.sqrt(d)), randomArray(d * RANK, 5, 0.5)];
  const layer = adapted(base, { r: RANK, scaling: SCALING, a, b });
  const sums = addProduct(
    newSums(d * d, (i) => old[i]!),
    ...[d, RANK, asRows(b, RANK), asRows(a, d), SCALING],
  );
  const bounds = sums.sizes.map((size) => roundingBound(RANK + 1, size) + HALF_STEP[dtype] * size);
  return { layer, expected: { values: sums.values, bounds } };
}

/**
 * What a weight of 16 bits costs beside the same numbers in float32: the products that read it, and a merge into it. Each
 * result is held against float64 over the weight's own values before anything is timed.
 */
import { Linear, type Runtime } from 'lora-wasm';
import { type Expected, verify } from '../../reference/check.js';
import {
  addProduct,
  asColumns,
  asRows,
  newSums,
  roundingBound,
  type Sums,
} from '../../reference/products.js';
import { randomArray } from '../../reference/random.js';
import { matrix, NO_RANK, weight } from '../../src/engine/operands.js';
import type { QuantisedDType, WeightDType } from '../../src/values/dtypes.js';
import { measure, pairedRatio } from '../core/measure.js';
import { adapted } from '../core/own.js';
import { ownRow, type Row, shapeText } from '../core/records.js';
import type { Context } from './forward.js';

/** Types of weights whose elements are numbers by themselves. */
type PlainDType = Exclude<WeightDType, QuantisedDType>;
const DTYPES: readonly PlainDType[] = ['f32', 'f16', 'bf16'];
const [FORWARD, GRADIENT, MERGE] = ['product', 'input gradient', 'merge and unmerge'];
const RANK = 8;
const SCALING = 2;
/** Half a step of each type beside its numbers, where these are no smaller than its subnormals. */
const HALF_STEP: Readonly<Record<PlainDType, number>> = { f32: 2 ** -24, f16: 2 ** -11, bf16: 2 ** -8 };

function overWeight(operation: string, dtype: PlainDType): string {
  return `${operation}, ${dtype} weight`;
}

/** Every operation of these rows. */
export const WEIGHT_OPERATIONS: readonly string[] = [FORWARD!, GRADIENT!, MERGE!].flatMap((operation) =>
  DTYPES.map((dtype) => overWeight(operation, dtype)),
);

/** One operation over a weight of one type. */
interface Entry {
  readonly operation: string;
  readonly dtype: PlainDType;
  readonly run: () => void;
}

/** Forward and input gradient of M rows over an [N, K] weight of each type. */
export function weightProductRows(context: Context, M: number, N: number, K: number): Row[] {
  const { rt } = context;
  const shape = shapeText(M, N, K);
  if (!context.wanted(`16-bit weights ${shape}`)) return [];
  const [xs, dys, ws] = [randomArray(M * K, 1), randomArray(M * N, 2), randomArray(N * K, 3)];
  const [x, dy, y, dx] = [rt.tensor(xs, [M, K]), rt.tensor(dys, [M, N]), rt.zeros([M, N]), rt.zeros([M, K])];
  const weights = DTYPES.map((dtype) => rt.tensor(ws, [N, K], { dtype }));
  const entries = weights.flatMap(({ pointer, dtype }): Entry[] => {
    const [w, low] = [weight(pointer, N, K, dtype as WeightDType), NO_RANK];
    const forward = { x: matrix(x.pointer, M, K), w, low, colScale: 0, bias: 0, y: matrix(y.pointer, M, N) };
    const gradient = {
      dy: matrix(dy.pointer, M, N),
      w,
      low,
      accumulate: 0,
      dx: matrix(dx.pointer, M, K),
    } as const;
    const { products } = rt.engine;
    return [
      { operation: FORWARD!, dtype: dtype as PlainDType, run: () => products.forward(forward) },
      { operation: GRADIENT!, dtype: dtype as PlainDType, run: () => products.backwardInput(gradient) },
    ];
  });
  for (const { operation, dtype, run } of entries) {
    run();
    const values = weights[DTYPES.indexOf(dtype)]!.toArray();
    const [out, depth, sums] =
      operation === FORWARD
        ? [y, K, addProduct(newSums(M * N), N, K, asRows(xs, K), asColumns(values, K))]
        : [dx, N, addProduct(newSums(M * K), K, N, asRows(dys, N), asRows(values, K))];
    const expected = within(sums, (size) => roundingBound(depth, size));
    verify(`${overWeight(operation, dtype)} ${shape}`, out.copyTo(new Float32Array(out.size)), expected);
  }
  const rows = timedRows(context, shape, 2 * M * N * K, entries);
  for (const tensor of [x, dy, y, dx, ...weights]) tensor.dispose();
  return rows;
}

/** Merging a LoRA layer into a [d, d] weight of each type, and giving its old bytes back. */
export function weightMergeRows(context: Context, d: number): Row[] {
  const { rt } = context;
  const shape = `N=${d} K=${d} r=${RANK}`;
  if (!context.wanted(`16-bit weights merge ${shape}`)) return [];
  const ws = randomArray(d * d, 1);
  const layers = DTYPES.map((dtype) => mergeable(rt, ws, d, dtype));
  const entries = layers.map(({ layer, dtype }): Entry => {
    const run = (): void => {
      layer.merge();
      layer.unmerge();
    };
    return { operation: MERGE!, dtype, run };
  });
  for (const { layer, dtype, expected } of layers) {
    layer.merge();
    verify(`${overWeight(MERGE!, dtype)} ${shape}`, Float32Array.from(layer.weight.toArray()), expected);
    layer.unmerge();
  }
  // Handling is no arithmetic: there is no speed to state but the time.
  const rows = timedRows({ ...context, ceiling: null }, shape, 0, entries);
  for (const { layer } of layers) layer.dispose();
  return rows;
}

/** A LoRA layer over a weight of this type, and what its merged weight must be. */
function mergeable(rt: Runtime, ws: Float32Array, d: number, dtype: PlainDType) {
  const base = new Linear(rt, d, d, { bias: false, weight: rt.parameter(ws, [d, d], { dtype }) });
  const old = base.weight.toArray();
  const [a, b] = [randomArray(RANK * d, 4, 1 / Math.sqrt(d)), randomArray(d * RANK, 5, 0.5)];
  const layer = adapted(base, { r: RANK, scaling: SCALING, a, b });
  const sums = addProduct(
    newSums(d * d, (i) => old[i]!),
    ...[d, RANK, asRows(b, RANK), asRows(a, d), SCALING],
  );
  const expected = within(sums, (size) => roundingBound(RANK + 1, size) + HALF_STEP[dtype] * size);
  return { layer, dtype, expected };
}

function within({ values, sizes }: Sums, boundOf: (size: number) => number): Expected {
  return { values, bounds: sizes.map(boundOf) };
}

/** The rows of a group in which all types take turns, each with its ratio to float32. */
function timedRows(context: Context, shape: string, flops: number, entries: readonly Entry[]): Row[] {
  const nameOf = ({ operation, dtype }: Entry): string => overWeight(operation, dtype);
  const timings = measure(
    entries.map((entry) => ({ name: nameOf(entry), run: entry.run })),
    context.effort,
  );
  return entries.map((entry) => {
    const [timing, plain] = [timings.get(nameOf(entry))!, overWeight(entry.operation, 'f32')];
    const ratio = pairedRatio(timing, timings.get(plain)!);
    const against = entry.dtype === 'f32' ? {} : { ratio, flopRatio: 1, ratioTo: plain };
    return ownRow(context.rt, [nameOf(entry), shape], timing, flops, context.ceiling, against);
  });
}

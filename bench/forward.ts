/**
 * Forward contestants of one shape: plain TypeScript, naive WebAssembly, this package's plain product, and LoRA unfused
 * (three products and an add), fused and merged. Each result is checked against float64 before anything is timed.
 */

import { add, Linear, LoraLinear, linear, type Runtime, scale, type Tensor } from 'lora-wasm';
import { matrix, NO_RANK, weight } from '../src/engine/operands.js';
import { type Effort, measure, pairedRatio, type Task, type Timing } from './measure.js';
import { naiveProduct, plainForward } from './naive-product.js';
import { gflopsOf, OP, PACKAGE, type Row, shapeText } from './records.js';
import { type Expected, expectForward, type LowRank, productSums, randomArray, verify } from './verify.js';

export interface ForwardShape {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly ranks: readonly number[];
}

/** What every group needs. */
export interface Context {
  readonly rt: Runtime;
  readonly naive: WebAssembly.Module;
  readonly effort: Effort;
  /** GFLOP/s of the ceiling of the build that runs. */
  readonly ceiling: number | null;
  /** Whether a group is to run at all. */
  readonly wanted: (title: string) => boolean;
}

interface Entry {
  readonly contestant: string;
  readonly operation: string;
  readonly expected: Expected;
  readonly rank: number;
  readonly run: () => void;
  /** Leaves y in `out`, x copied in before: the end-to-end call, and what is verified. */
  readonly whole: (out: Float32Array) => void;
  /** Whether the end-to-end call differs from `run`. */
  readonly copies: boolean;
}

interface Operands {
  readonly x: Float32Array;
  readonly w: Float32Array;
  readonly bias: Float32Array;
}

/** Rows of one M, N, K at each of its ranks; the baselines, which know no rank, run once. */
export function forwardRows(context: Context, shape: ForwardShape): Row[] {
  const { M, N, K } = shape;
  const ranks = shape.ranks.filter((r) => context.wanted(`${OP.forward} ${shapeText(M, N, K, r)}`));
  if (ranks.length === 0) return [];
  const operands = { x: randomArray(M * K, 1), w: randomArray(N * K, 2), bias: randomArray(N, 3) };
  const sums = productSums(M, N, K, operands.x, operands.w, operands.bias);
  return ranks.flatMap((r, i) => groupRows(context, shape, r, operands, sums, i === 0));
}

function groupRows(
  context: Context,
  shape: ForwardShape,
  r: number,
  operands: Operands,
  sums: Expected,
  baselines: boolean,
): Row[] {
  const { M, N, K } = shape;
  const low: LowRank = {
    r,
    a: randomArray(r * K, 4, 1 / Math.sqrt(K)),
    b: randomArray(N * r, 5, 0.5),
    scaling: 2,
  };
  const plain = expectForward(sums, M, N, K, operands.x, null);
  const adapted = expectForward(sums, M, N, K, operands.x, low);
  const { entries, dispose } = packageEntries(context.rt, shape, operands, low, plain, adapted);
  if (baselines) entries.unshift(...baselineEntries(context, shape, operands, plain));
  const out = new Float32Array(M * N);
  for (const entry of entries) {
    out.fill(Number.NaN);
    entry.whole(out);
    verify(`${entry.contestant} ${entry.operation} ${shapeText(M, N, K, r)}`, out, entry.expected);
  }
  const tasks = entries.flatMap((entry): Task[] => {
    const kernel = { name: keyOf(entry), run: entry.run };
    return entry.copies ? [kernel, { name: `${keyOf(entry)} whole`, run: () => entry.whole(out) }] : [kernel];
  });
  const timings = measure(tasks, context.effort);
  dispose();
  const base = timings.get(`${PACKAGE} ${OP.forward}`)!;
  return entries.map((entry) => rowOf(context, shape, r, entry, timings, base));
}

function keyOf(entry: Entry): string {
  return `${entry.contestant} ${entry.operation}`;
}

function rowOf(
  context: Context,
  { M, N, K }: ForwardShape,
  r: number,
  entry: Entry,
  timings: Map<string, Timing>,
  base: Timing,
): Row {
  const timing = timings.get(keyOf(entry))!;
  const own = entry.contestant === PACKAGE;
  const gflops = gflopsOf(2 * M * N * K + 2 * M * entry.rank * (N + K), timing.median);
  const isBase = own && entry.operation === OP.forward;
  return {
    contestant: entry.contestant,
    operation: entry.operation,
    shape: shapeText(M, N, K, own ? r : null),
    kernels: own ? context.rt.info().kernels : 'none',
    threads: 1,
    ...timing,
    gflops,
    percentOfCeiling: context.ceiling === null ? null : (100 * gflops) / context.ceiling,
    endToEnd: timings.get(`${keyOf(entry)} whole`) ?? null,
    ratio: isBase ? null : pairedRatio(timing, base),
    flopRatio: isBase ? null : 1 + (entry.rank * (N + K)) / (N * K),
    ratioTo: isBase ? null : OP.forward,
  };
}

function baselineEntries(
  context: Context,
  { M, N, K }: ForwardShape,
  { x, w, bias }: Operands,
  expected: Expected,
): Entry[] {
  const y = new Float32Array(M * N);
  const naive = naiveProduct(context.naive, M, N, K, w, bias);
  naive.setX(x);
  const shared = { operation: OP.forward, expected, rank: 0 };
  return [
    {
      ...shared,
      contestant: 'plain TypeScript',
      run: () => plainForward(M, N, K, x, w, bias, y),
      whole: (out) => plainForward(M, N, K, x, w, bias, out),
      copies: false,
    },
    {
      ...shared,
      contestant: 'naive WASM',
      run: naive.run,
      whole: (out) => {
        naive.setX(x);
        naive.run();
        naive.getY(out);
      },
      copies: true,
    },
  ];
}

function packageEntries(
  rt: Runtime,
  { M, N, K }: ForwardShape,
  { x, w, bias }: Operands,
  low: LowRank,
  plain: Expected,
  adapted: Expected,
): { entries: Entry[]; dispose: () => void } {
  const newLinear = (): Linear => {
    const layer = new Linear(rt, K, N);
    layer.weight.set(w);
    layer.bias!.set(bias);
    return layer;
  };
  const newLora = (): LoraLinear => {
    const layer = LoraLinear.from(newLinear(), { r: low.r, loraAlpha: low.r * low.scaling });
    setFactors(layer, low);
    return layer;
  };
  const base = newLinear();
  const fused = newLora();
  const merged = newLora();
  merged.merge();
  const input = rt.tensor(x, [M, K]);
  const a = rt.tensor(low.a, [low.r, K]);
  const b = rt.tensor(low.b, [N, low.r]);
  const entry = (operation: string, expected: Expected, rank: number, forward: () => Tensor): Entry => ({
    contestant: PACKAGE,
    operation,
    expected,
    rank,
    run: () => rt.scope(() => rt.noGrad(() => void forward())),
    whole: (out) =>
      rt.scope(() => {
        input.set(x);
        rt.noGrad(forward).copyTo(out);
      }),
    copies: true,
  });
  const entries = [
    entry(OP.forward, plain, 0, () => base.forward(input)),
    entry(OP.unfused, adapted, low.r, () =>
      add(linear(input, base.weight, base.bias), scale(linear(linear(input, a), b), low.scaling)),
    ),
    entry(OP.fused, adapted, low.r, () => fused.forward(input)),
    entry(OP.merged, adapted, 0, () => merged.forward(input)),
  ];
  const dispose = (): void => {
    for (const owner of [base, fused, merged, input, a, b]) owner.dispose();
  };
  return { entries, dispose };
}

/** Writes both factors of a layer's one adapter. */
export function setFactors(layer: LoraLinear, low: LowRank): void {
  for (const [name, parameter] of layer.namedParameters()) {
    if (name.includes('lora_A')) parameter.set(low.a);
    if (name.includes('lora_B')) parameter.set(low.b);
  }
}

/** The product alone, x·Wᵀ without layer or scope, at one shape: the row that is held against the ceiling. */
export function productRow(context: Context, M: number, N: number, K: number): Row[] {
  const { rt, ceiling, effort, wanted } = context;
  if (!wanted(`${OP.product} ${shapeText(M, N, K)}`)) return [];
  const [xData, wData] = [randomArray(M * K, 1), randomArray(N * K, 2)];
  const [x, w, y] = [rt.tensor(xData, [M, K]), rt.tensor(wData, [N, K]), rt.zeros([M, N])];
  const zeros = new Float32Array(N);
  const run = (): void => {
    rt.engine.products.forward({
      ...{ x: matrix(x.pointer, M, K), w: weight(w.pointer, N, K), low: NO_RANK },
      ...{ colScale: 0, bias: 0, y: matrix(y.pointer, M, N) },
    });
  };
  run();
  const expected = expectForward(productSums(M, N, K, xData, wData, zeros), M, N, K, xData, null);
  verify(`${PACKAGE} ${OP.product}`, y.copyTo(new Float32Array(M * N)), expected);
  const timing = measure([{ name: OP.product, run }], effort).get(OP.product)!;
  for (const tensor of [x, w, y]) tensor.dispose();
  const gflops = gflopsOf(2 * M * N * K, timing.median);
  return [
    {
      contestant: PACKAGE,
      operation: OP.product,
      shape: shapeText(M, N, K),
      kernels: rt.info().kernels,
      threads: 1,
      ...timing,
      gflops,
      percentOfCeiling: ceiling === null ? null : (100 * gflops) / ceiling,
      endToEnd: null,
      ratio: null,
      flopRatio: null,
      ratioTo: null,
    },
  ];
}

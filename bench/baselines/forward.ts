/**
 * Forward contestants of one shape: plain TypeScript, naive WebAssembly, this package's plain product, and LoRA unfused
 * (three products and an add), fused and merged. Each result is checked against float64 before anything is timed.
 */
import { add, linear, type Runtime, scale, type Tensor } from 'lora-wasm';
import { type Expected, verify } from '../../reference/check.js';
import { expectForward, type LowRank, productSums } from '../../reference/network.js';
import type { Sums } from '../../reference/products.js';
import { randomArray } from '../../reference/random.js';
import { matrix, NO_RANK, weight } from '../../src/engine/operands.js';
import { type Effort, measure, pairedRatio, type Task } from '../core/measure.js';
import { naiveProduct, plainForward } from '../core/naive-product.js';
import { linearOf, loraOf } from '../core/own.js';
import { OP, ownRow, PACKAGE, type Row, shapeText } from '../core/records.js';
import type { Environment } from '../suite.js';

export interface ForwardShape {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly ranks: readonly number[];
}

/** What every group needs. */
export interface Context extends Pick<Environment, 'rt' | 'naive' | 'ceiling' | 'wanted'> {
  readonly effort: Effort;
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

/** The shape, and its data: x [M,K], W [N,K], bias [N]. */
interface Operands extends ForwardShape {
  readonly x: Float32Array;
  readonly w: Float32Array;
  readonly bias: Float32Array;
}

/** Rows of one M, N, K at each of its ranks; the baselines, which know no rank, run once. */
export function forwardRows(context: Context, shape: ForwardShape): Row[] {
  const { M, N, K } = shape;
  const ranks = shape.ranks.filter((r) => context.wanted(`${OP.forward} ${shapeText(M, N, K, r)}`));
  if (ranks.length === 0) return [];
  const data = { x: randomArray(M * K, 1), w: randomArray(N * K, 2), bias: randomArray(N, 3) };
  const operands = { ...shape, ...data };
  const sums = productSums(operands, data.x);
  return ranks.flatMap((r, i) => groupRows(context, operands, r, sums, i === 0));
}

function groupRows(context: Context, operands: Operands, r: number, sums: Sums, baselines: boolean): Row[] {
  const { M, N, K, x } = operands;
  const [a, b] = [randomArray(r * K, 4, 1 / Math.sqrt(K)), randomArray(N * r, 5, 0.5)];
  const low: LowRank = { r, a, b, scaling: 2 };
  const plain = expectForward(sums, K, x, null);
  const adapted = expectForward(sums, K, x, low);
  const { entries, dispose } = packageEntries(context.rt, operands, low, plain, adapted);
  if (baselines) entries.unshift(...baselineEntries(context, operands, plain));
  const out = new Float32Array(M * N);
  for (const entry of entries) {
    out.fill(Number.NaN);
    entry.whole(out);
    verify(`${keyOf(entry)} ${shapeText(M, N, K, r)}`, out, entry.expected);
  }
  const tasks = entries.flatMap((entry): Task[] => {
    const kernel = { name: keyOf(entry), run: entry.run };
    return entry.copies ? [kernel, { name: `${keyOf(entry)} whole`, run: () => entry.whole(out) }] : [kernel];
  });
  const timings = measure(tasks, context.effort);
  dispose();
  const base = timings.get(`${PACKAGE} ${OP.forward}`)!;
  return entries.map((entry) => {
    const { contestant, operation, rank } = entry;
    const own = contestant === PACKAGE;
    const timing = timings.get(keyOf(entry))!;
    const endToEnd = timings.get(`${keyOf(entry)} whole`) ?? null;
    const flops = 2 * M * N * K + 2 * M * rank * (N + K);
    const at = [operation, shapeText(M, N, K, own ? r : null)] as const;
    const row = { ...ownRow(context.rt, at, timing, flops, context.ceiling, { contestant, endToEnd }) };
    const against = {
      ratio: pairedRatio(timing, base),
      flopRatio: 1 + (rank * (N + K)) / (N * K),
      ratioTo: OP.forward,
    };
    if (!own) return { ...row, ...against, kernels: 'none' };
    return operation === OP.forward ? row : { ...row, ...against };
  });
}

function keyOf(entry: Entry): string {
  return `${entry.contestant} ${entry.operation}`;
}

function baselineEntries(context: Context, { M, N, K, x, w, bias }: Operands, expected: Expected): Entry[] {
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
  operands: Operands,
  low: LowRank,
  plain: Expected,
  adapted: Expected,
): { entries: Entry[]; dispose: () => void } {
  const { M, N, K, x } = operands;
  const weights = { ...operands, low };
  const [base, fused, merged] = [linearOf(rt, weights), loraOf(rt, weights), loraOf(rt, weights)];
  merged.merge();
  const [input, a, b] = [rt.tensor(x, [M, K]), rt.tensor(low.a, [low.r, K]), rt.tensor(low.b, [N, low.r])];
  const entry = (operation: string, expected: Expected, rank: number, forward: () => Tensor): Entry => ({
    ...{ contestant: PACKAGE, operation, expected, rank, copies: true },
    run: () => rt.scope(() => rt.noGrad(() => void forward())),
    whole: (out) =>
      rt.scope(() => {
        input.set(x);
        rt.noGrad(forward).copyTo(out);
      }),
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

/** The product alone, x·Wᵀ without layer or scope, at one shape: the row that is held against the ceiling. */
export function productRow(context: Context, M: number, N: number, K: number): Row[] {
  const { rt, ceiling, effort, wanted } = context;
  if (!wanted(`${OP.product} ${shapeText(M, N, K)}`)) return [];
  const [xData, wData] = [randomArray(M * K, 1), randomArray(N * K, 2)];
  const [x, w, y] = [rt.tensor(xData, [M, K]), rt.tensor(wData, [N, K]), rt.zeros([M, N])];
  const run = (): void =>
    rt.engine.products.forward({
      ...{ x: matrix(x.pointer, M, K), w: weight(w.pointer, N, K), low: NO_RANK },
      ...{ colScale: 0, bias: 0, y: matrix(y.pointer, M, N) },
    });
  run();
  const sums = productSums({ N, K, w: wData, bias: new Float32Array(N) }, xData);
  verify(`${PACKAGE} ${OP.product}`, y.copyTo(new Float32Array(M * N)), expectForward(sums, K, xData, null));
  const timing = measure([{ name: OP.product, run }], effort).get(OP.product)!;
  for (const tensor of [x, w, y]) tensor.dispose();
  return [ownRow(rt, [OP.product, shapeText(M, N, K)], timing, 2 * M * N * K, ceiling)];
}

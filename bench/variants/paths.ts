/**
 * The paths of the package's own kernels on real shapes, for the thresholds of `src/engine/plan.ts`: all paths of a product
 * compute the same from the same operands, in turns. Operands are whole numbers, so all have to agree to the bit.
 */
import type { Runtime, Tensor } from 'lora-wasm';
import { addProduct, asColumns, asRows, newSums, type View } from '../../reference/products.js';
import { backwardInputCall, backwardWeightCall, type Call, forwardCall } from '../../src/engine/calls.js';
import { matrix, NO_RANK, weight } from '../../src/engine/operands.js';
import { planBackwardInput, planBackwardWeight, planForward } from '../../src/engine/plan.js';
import { type Effort, measure, pairedRatio } from '../core/measure.js';
import { gflopsOf } from '../core/records.js';
import { placeAll, valuesOf } from '../kernels/cases.js';

/** By the level of their kernels. */
export const BUILDS = ['simd', 'relaxed-simd'] as const;
export const OPERATIONS = ['forward', 'backward to the input', 'backward to the weight'] as const;

export interface PathRow {
  readonly kernels: (typeof BUILDS)[number];
  readonly operation: (typeof OPERATIONS)[number];
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly path: string;
  readonly gflops: number;
  /** Speed over that of the planned path in the same round, the median over the rounds. */
  readonly toPlanned: number;
  readonly winner: boolean;
  /** Whether `plan.ts` takes it. */
  readonly planned: boolean;
}

/**
 * Milliseconds that this process computed: another process on the same core then costs what it leaves in the caches, and not the time
 * that it takes.
 */
function ownMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const ROWS = [1, 4, 10, 16, 32, 64, 256];
const SIZES = [768, 1000, 1024];
const FULL: Effort = { rounds: 9, roundMs: 2, clock: ownMs };
const QUICK: Effort = { rounds: 2, roundMs: 0.2, clock: ownMs };
const LARGEST = 3;

type Path = readonly [name: string, path: number];

const tiles = (kind: number, name: string): Path[] => [4, 5, 6].map((MR) => [`${MR}x8 ${name}`, kind | MR]);
const DOTS: readonly Path[] = [
  ['2x4 dot', 4],
  ['2x6 dot', 6],
];
const PACKED = tiles(16, 'packed');
const IN_PLACE = tiles(32, 'in place');
const STREAM: Path = ['stream', 48];

/** One product of given sizes: how a path is called, what the plan says, and an element's terms. */
interface Product {
  readonly operation: PathRow['operation'];
  readonly paths: readonly Path[];
  readonly plan: number;
  /** Sizes of operands and result, the summed one between. */
  readonly sizes: readonly [rows: number, depth: number, columns: number];
  readonly call: (path: number, a: number, b: number, c: number) => Call;
  /** Both operands as the product sees them. */
  readonly views: (a: Float32Array, b: Float32Array) => readonly [View, View];
}

/** @throws Error when a path is wrong */
export function measurePaths(rt: Runtime, quick: boolean): PathRow[] {
  return SIZES.slice(0, quick ? 1 : SIZES.length).flatMap((size) =>
    ROWS.slice(0, quick ? 2 : ROWS.length).flatMap((M) =>
      productsOf(rt, M, size, size).flatMap((product) =>
        contest(rt, product, quick ? QUICK : FULL).map((row) => ({ ...row, M, N: size, K: size })),
      ),
    ),
  );
}

function productsOf({ engine }: Runtime, M: number, N: number, K: number): Product[] {
  const { level } = engine;
  return [
    {
      operation: 'forward',
      paths: [...DOTS, ...PACKED],
      plan: planForward(level, M, N, K, 0),
      sizes: [M, K, N],
      call: (path, x, w, y) =>
        forwardCall(path, {
          ...{ x: matrix(x, M, K), w: weight(w, N, K), low: NO_RANK },
          ...{ colScale: 0, bias: 0, y: matrix(y, M, N) },
        }),
      views: (x, w) => [asRows(x, K), asColumns(w, K)],
    },
    {
      operation: 'backward to the input',
      paths: [...PACKED, ...IN_PLACE, STREAM],
      plan: planBackwardInput(level, M, N, K, 0),
      sizes: [M, N, K],
      call: (path, dy, w, dx) =>
        backwardInputCall(path, {
          ...{ dy: matrix(dy, M, N), w: weight(w, N, K), low: NO_RANK },
          ...{ accumulate: 0, dx: matrix(dx, M, K) },
        }),
      views: (dy, w) => [asRows(dy, N), asRows(w, K)],
    },
    {
      operation: 'backward to the weight',
      paths: [...PACKED, STREAM],
      plan: planBackwardWeight(level, M, N, K),
      sizes: [N, M, K],
      call: (path, dy, x, dw) =>
        backwardWeightCall(path, {
          ...{ dy: matrix(dy, M, N), x: matrix(x, M, K) },
          ...{ accumulate: 0, dw: matrix(dw, N, K) },
        }),
      views: (dy, x) => [asColumns(dy, N), asRows(x, K)],
    },
  ];
}

function contest(rt: Runtime, product: Product, effort: Effort): Omit<PathRow, 'M' | 'N' | 'K'>[] {
  const { operation, paths, plan, sizes } = product;
  const [rows, depth, columns] = sizes;
  const tensors = placeAll(rt, [rows * depth, depth * columns, rows * columns], LARGEST);
  for (const tensor of tensors.slice(0, 2)) tensor.set(valuesOf(tensor).map(Math.round));
  const [a, b, c] = tensors as [Tensor, Tensor, Tensor];
  const { kernels } = rt.engine;
  const run = (path: number): void => {
    const { kernel, whole } = product.call(path, a.pointer, b.pointer, c.pointer);
    const scratch = rt.engine.scratch(kernels.productScratch(path, 0, columns));
    (kernels[kernel] as (...args: number[]) => void)(...whole(scratch));
  };
  // Sums of whole numbers this small are exact: every path gives the same.
  const { values } = addProduct(
    newSums(rows * columns),
    columns,
    depth,
    ...product.views(valuesOf(a), valuesOf(b)),
  );
  for (const [name, path] of paths) {
    c.set(new Float32Array(rows * columns).fill(Number.NaN));
    run(path);
    const got = valuesOf(c);
    const wrong = values.findIndex((value, i) => value !== got[i]);
    if (wrong >= 0)
      throw new Error(
        `verify: ${operation}, ${name}, ${rows}x${depth}x${columns}: element ${wrong} is ${got[wrong]}, expected ${values[wrong]}`,
      );
  }
  const timings = measure(
    paths.map(([name, path]) => ({ name, run: () => run(path) })),
    effort,
  );
  for (const tensor of tensors) tensor.dispose();
  const planned = timings.get(paths.find(([, path]) => path === plan)![0])!;
  const speeds = paths.map(([name, path]) => ({
    ...{ kernels: BUILDS[rt.engine.level]!, operation, path: name, planned: path === plan },
    gflops: gflopsOf(2 * rows * depth * columns, timings.get(name)!.median),
    toPlanned: pairedRatio(planned, timings.get(name)!),
  }));
  const best = Math.max(...speeds.map(({ toPlanned }) => toPlanned));
  return speeds.map((row) => ({ ...row, winner: row.toPlanned === best }));
}

export function shapeOf({ M, N, K }: PathRow): string {
  return `M=${M} ${N}x${K}`;
}

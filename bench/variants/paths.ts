/**
 * The paths of the package's own kernels on real shapes, for the thresholds of `src/engine/plan.ts`: all paths of a product
 * compute the same from the same operands, in turns. Operands are whole numbers, so all have to agree to the bit.
 */
import type { Runtime } from 'lora-wasm';
import { backwardInputCall, backwardWeightCall, type Call, forwardCall } from '../../src/engine/calls.js';
import { matrix, NO_RANK, weight } from '../../src/engine/operands.js';
import { planBackwardInput, planBackwardWeight, planForward } from '../../src/engine/plan.js';
import { Bench, type Placed, verifyElements } from '../kernels/cases.js';
import { pairedRatio } from '../measure.js';
import { BUILDS, type Build } from './shapes.js';
import { type Effort, type Speeds, speedsOf, takeTurns } from './turns.js';

export interface PathRow extends Speeds {
  readonly kernels: Build;
  readonly operation: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly path: string;
  /** Speed over that of the planned path in the same round, the median over the rounds. */
  readonly toPlanned: number;
  readonly winner: boolean;
  /** Whether `plan.ts` takes it. */
  readonly planned: boolean;
}

const ROWS = [1, 4, 10, 16, 32, 64, 256];
const SIZES = [768, 1000, 1024];
const FULL: Effort = { rounds: 9, roundMs: 2 };
const QUICK: Effort = { rounds: 2, roundMs: 0.2 };
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
  readonly operation: string;
  readonly paths: readonly Path[];
  readonly plan: number;
  /** Sizes of operands and result, the summed one between. */
  readonly sizes: readonly [rows: number, depth: number, columns: number];
  readonly call: (path: number, a: number, b: number, c: number) => Call;
  /** Where the operands of element [i, j] and step d lie. */
  readonly at: (i: number, j: number, d: number) => readonly [number, number];
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
      at: (i, j, k) => [i * K + k, j * K + k],
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
      at: (i, j, n) => [i * N + n, n * K + j],
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
      at: (i, j, m) => [m * N + i, m * K + j],
    },
  ];
}

function contest(rt: Runtime, product: Product, effort: Effort): Omit<PathRow, 'M' | 'N' | 'K'>[] {
  const { operation, paths, plan, sizes } = product;
  const [rows, depth, columns] = sizes;
  const bench = new Bench(rt);
  const whole = (size: number): Placed => {
    const placed = bench.random(size, LARGEST);
    placed.set(placed.values().map(Math.round));
    return placed;
  };
  const [a, b, c] = [whole(rows * depth), whole(depth * columns), bench.empty(rows * columns)];
  const { kernels } = rt.engine;
  const run = (path: number): void => {
    const { kernel, whole } = product.call(path, a.pointer, b.pointer, c.pointer);
    const scratch = rt.engine.scratch(kernels.productScratch(path, 0, columns));
    (kernels[kernel] as (...args: number[]) => void)(...whole(scratch));
  };
  verifyPaths(product, a, b, c, run);
  const tasks = paths.map(([name, path]) => ({ name, run: () => run(path) }));
  const timings = takeTurns(tasks, effort);
  bench.dispose();
  const roundsOf = (name: string): { rounds: number[] } => ({ rounds: timings.get(name)! });
  const planned = roundsOf(paths.find(([, path]) => path === plan)![0]);
  const speeds = paths.map(([name, path]) => ({
    ...{ kernels: BUILDS[rt.engine.level]!, operation, path: name, planned: path === plan },
    ...speedsOf(2 * rows * depth * columns, timings.get(name)!),
    toPlanned: pairedRatio(planned, roundsOf(name)),
  }));
  const best = Math.max(...speeds.map(({ toPlanned }) => toPlanned));
  return speeds.map((row) => ({ ...row, winner: row.toPlanned === best }));
}

/** Holds the first path against float64, the others against the first. */
function verifyPaths(
  { operation, paths, sizes, at }: Product,
  a: Placed,
  b: Placed,
  c: Placed,
  run: (path: number) => void,
): void {
  const [rows, depth, columns] = sizes;
  const [left, right] = [a.values(), b.values()];
  let first: Float32Array | null = null;
  for (const [name, path] of paths) {
    c.set(new Float32Array(rows * columns).fill(Number.NaN));
    run(path);
    const got = c.values();
    const what = `${operation}, ${name}, ${rows}x${depth}x${columns}`;
    if (first === null) {
      verifyElements(what, got, rows, columns, depth, (i, j) => (add) => {
        for (let d = 0; d < depth; d++) {
          const [p, q] = at(i, j, d);
          add(left[p]!, right[q]!);
        }
      });
      first = got;
    }
    const wrong = got.findIndex((value, i) => value !== first![i]);
    if (wrong >= 0) {
      throw new Error(`verify: ${what}: element ${wrong} is ${got[wrong]}, expected ${first[wrong]}`);
    }
  }
}

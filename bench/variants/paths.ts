/**
 * The paths of the package's own kernels on real shapes, for the thresholds of `src/engine/plan.ts`: all paths of a product
 * compute the same from the same operands, in turns. Operands are whole numbers, so all have to agree to the bit.
 */
import type { Runtime } from 'lora-wasm';
import { planBackwardInput, planBackwardWeight, planForward } from '../../src/engine/plan.js';
import { type Effort, measure, pairedRatio } from '../core/measure.js';
import { BACKWARD_INPUT, BACKWARD_WEIGHT, FORWARD, type LargeProduct, placed } from '../core/products.js';
import { gflopsOf } from '../core/records.js';

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

/** A product, its paths, and the one that the plan takes. */
interface Contest {
  readonly operation: PathRow['operation'];
  readonly product: LargeProduct;
  readonly paths: readonly Path[];
  readonly plan: (level: number, M: number, N: number, K: number) => number;
}

const CONTESTS: readonly Contest[] = [
  {
    ...{ operation: 'forward', product: FORWARD, paths: [...DOTS, ...PACKED] },
    plan: (...sizes) => planForward(...sizes, 0),
  },
  {
    ...{
      operation: 'backward to the input',
      product: BACKWARD_INPUT,
      paths: [...PACKED, ...IN_PLACE, STREAM],
    },
    plan: (...sizes) => planBackwardInput(...sizes, 0),
  },
  {
    ...{ operation: 'backward to the weight', product: BACKWARD_WEIGHT, paths: [...PACKED, STREAM] },
    plan: planBackwardWeight,
  },
];

/** @throws Error when a path is wrong */
export function measurePaths(rt: Runtime, quick: boolean): PathRow[] {
  return SIZES.slice(0, quick ? 1 : SIZES.length).flatMap((size) =>
    ROWS.slice(0, quick ? 2 : ROWS.length).flatMap((M) =>
      CONTESTS.flatMap((contest) => rowsOf(rt, contest, [M, size, size], quick ? QUICK : FULL)),
    ),
  );
}

function rowsOf(
  rt: Runtime,
  { operation, product, paths, plan }: Contest,
  sizes: readonly [M: number, N: number, K: number],
  effort: Effort,
): PathRow[] {
  const [M, N, K] = sizes;
  const { engine } = rt;
  const { at, out, verify, dispose } = placed(rt, product, [M, N, K, 0], { whole: LARGEST });
  const run = (path: number): void => {
    const { kernel, whole } = product.call(path, at);
    const scratch = engine.scratch(engine.kernels.productScratch(path, 0, out.shape[1]!));
    (engine.kernels[kernel] as (...args: number[]) => void)(...whole(scratch));
  };
  let first: Float32Array | null = null;
  for (const [name, path] of paths) {
    out.set(new Float32Array(out.size).fill(Number.NaN));
    run(path);
    verify();
    const got = out.copyTo(new Float32Array(out.size));
    first ??= got;
    const wrong = got.findIndex((value, i) => value !== first![i]);
    if (wrong >= 0)
      throw new Error(
        `verify: ${operation}, ${name}, ${sizes.join('x')}: element ${wrong} is ${got[wrong]}, expected ${first[wrong]} as by ${paths[0]![0]}`,
      );
  }
  const timings = measure(
    paths.map(([name, path]) => ({ name, run: () => run(path) })),
    effort,
  );
  dispose();
  const own = plan(engine.level, M, N, K);
  const planned = timings.get(paths.find(([, path]) => path === own)![0])!;
  const rows = paths.map(([name, path]) => ({
    ...{ kernels: BUILDS[engine.level]!, operation, path: name, planned: path === own },
    gflops: gflopsOf(2 * M * N * K, timings.get(name)!.median),
    toPlanned: pairedRatio(planned, timings.get(name)!),
    ...{ M, N, K },
  }));
  const best = Math.max(...rows.map(({ toPlanned }) => toPlanned));
  return rows.map((row) => ({ ...row, winner: row.toPlanned === best }));
}

export function shapeOf({ M, N, K }: PathRow): string {
  return `M=${M} ${N}x${K}`;
}

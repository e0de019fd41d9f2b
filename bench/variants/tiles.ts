/**
 * Tiles against each other and against the register-only ceiling: verified, then timed in many short rounds in which they
 * take turns, on operands in the first-level cache.
 */
import { type Effort, measure, pairedRatio } from '../core/measure.js';
import type { Yardstick } from '../core/peak.js';
import { gflopsOf } from '../core/records.js';
import type { TestBed } from './bed.js';
import { type Build, CHOSEN, FAMILIES, type Family, type Shape, tileName } from './shapes.js';

/**
 * Milliseconds that this process computed: another process on the same core then costs what it leaves in the caches, and not the time
 * that it takes.
 */
export function ownMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

export interface TileRow {
  readonly kernels: Build;
  readonly family: Family;
  readonly tile: string;
  readonly gflops: number;
  /** GFLOP/s of the ceiling's loop in the same rounds, and the median of speed / ceiling of each round. */
  readonly ceiling: number;
  readonly percentOfCeiling: number;
  readonly winner: boolean;
  /** Whether the package has it as its main tile. */
  readonly chosen: boolean;
}

/** Noise of a shared machine comes in bursts of some milliseconds: rounds shorter than those, and many. */
const FULL: Effort = { rounds: 201, roundMs: 1, clock: ownMs };
const QUICK: Effort = { rounds: 3, roundMs: 0.2, clock: ownMs };
/** Flops of one sample, about 0.06 ms. */
const SAMPLE_FLOPS = 4e6;
/** Short calls before anything is timed: a call that began in the baseline compiler stays there to its end. */
const WARM_CALLS = 3000;
/** Milliseconds in which the engine's best compiler, a thread beside, does what the short calls made it start. */
const COMPILE_MS = 500;
const CEILING = 'ceiling';

/** @throws Error when a tile is wrong */
export async function measureTiles(
  build: Build,
  shapes: readonly Shape[],
  bed: TestBed,
  yardstick: Yardstick,
  quick: boolean,
): Promise<TileRow[]> {
  for (const shape of shapes) {
    bed.verify(shape);
    for (let i = 0; i < WARM_CALLS; i++) bed.run(shape, 1);
  }
  if (!quick) await new Promise((resolve) => setTimeout(resolve, COMPILE_MS));
  return FAMILIES.flatMap((family) => {
    const own = shapes.filter((shape) => shape.family === family);
    return own.length === 0 ? [] : contest(build, own, bed, yardstick, quick ? QUICK : FULL);
  });
}

function contest(
  build: Build,
  shapes: readonly Shape[],
  bed: TestBed,
  yardstick: Yardstick,
  effort: Effort,
): TileRow[] {
  const turns = Math.round(SAMPLE_FLOPS / yardstick.multiplyAdds(1));
  const tasks = shapes.map((shape) => {
    const times = Math.max(1, Math.round(SAMPLE_FLOPS / bed.flopsOf(shape)));
    return { shape, name: tileName(shape), times, run: () => bed.run(shape, times) };
  });
  const timings = measure(
    [{ name: CEILING, run: () => void yardstick.multiplyAdds(turns) }, ...tasks],
    effort,
  );
  const flops = yardstick.multiplyAdds(turns);
  const ceiling = timings.get(CEILING)!;
  const speeds = tasks.map(({ shape, name, times }) => {
    const timing = timings.get(name)!;
    const done = times * bed.flopsOf(shape);
    return {
      ...{ kernels: build, family: shape.family, tile: tileName(shape) },
      gflops: gflopsOf(done, timing.median),
      ceiling: gflopsOf(flops, ceiling.median),
      percentOfCeiling: 100 * (done / flops) * pairedRatio(ceiling, timing),
      chosen: CHOSEN[build][shape.family] === tileName(shape),
    };
  });
  const best = Math.max(...speeds.map(({ percentOfCeiling }) => percentOfCeiling));
  return speeds.map((row) => ({ ...row, winner: row.percentOfCeiling === best }));
}

/**
 * `npx tsx bench/variants/pick.ts [--json FILE]`: the tiles against each other. Every path that the kernels have is timed on the
 * same operands, taking turns, the order reversed each round; `src/runtime/plan.ts` chooses by what this prints.
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import Table from 'cli-table3';
import { createRuntime } from 'lora-wasm';
import { planBackwardInput } from '../../src/runtime/plan.js';

const ROUNDS = 9;
const ROUND_MS = 25;
const SHAPES = [
  [240, 960, 768],
  [256, 768, 768],
  [10, 2000, 1000],
  [64, 1024, 1024],
] as const;

const rt = await createRuntime();
const { kernels, level } = rt.engine;
const scratch = rt.engine.scratch(
  Math.max(...[1, 5, 6, 300].map((M) => planBackwardInput(1, M, 9, 256, 0).scratchBytes)),
);
const tilesOf = (kind: number, name: string): [string, number][] =>
  [4, 5, 6].map((MR) => [`${MR}x8 ${name}`, (kind << 4) | MR]);

/** Median GFLOP/s of each contestant over the rounds, after one unmeasured round. */
function contest(
  flops: number,
  contestants: readonly (readonly [string, () => void])[],
): [string, number, number, number][] {
  const speeds = new Map<string, number[]>(contestants.map(([name]) => [name, []]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, run] of round % 2 === 0 ? contestants : contestants.toReversed()) {
      const start = performance.now();
      let calls = 0;
      do {
        run();
        calls++;
      } while (performance.now() - start < ROUND_MS);
      if (round > 0) speeds.get(name)!.push((calls * flops) / (performance.now() - start) / 1e6);
    }
  }
  return [...speeds].map(([name, values]) => {
    const sorted = values.sort((a, b) => a - b);
    return [name, sorted[ROUNDS >> 1]!, sorted[0]!, sorted.at(-1)!];
  });
}

const rows: { operation: string; shape: string; tile: string; median: number; min: number; max: number }[] =
  [];
for (const [M, N, K] of SHAPES) {
  const [x, w, dy] = [rt.normal([M, K]), rt.normal([N, K]), rt.normal([M, N])].map(
    ({ pointer }) => pointer,
  ) as [number, number, number];
  const [y, dx] = [rt.zeros([M, N]).pointer, rt.zeros([M, K]).pointer];
  const forward = [['2x4 dot', 4] as const, ['2x6 dot', 6] as const, ...tilesOf(1, 'packed')].map(
    ([name, path]) =>
      [
        name,
        () => kernels.linearForward(path, M, N, K, 0, x, K, w, K, 0, 0, 0, 0, 0, 0, y, N, scratch),
      ] as const,
  );
  const backward = [...tilesOf(1, 'packed'), ...tilesOf(2, 'in place')].map(
    ([name, path]) =>
      [
        name,
        () => kernels.linearBackwardInput(path, M, N, K, 0, dy, N, w, K, 0, 0, 0, 0, 0, dx, K, scratch),
      ] as const,
  );
  for (const [operation, contestants] of [
    ['forward', forward],
    ['backward to the input', backward],
  ] as const) {
    for (const [tile, median, min, max] of contest(2 * M * N * K, contestants)) {
      rows.push({ operation, shape: `M=${M} N=${N} K=${K}`, tile, median, min, max });
    }
  }
}

const table = new Table({
  head: ['operation', 'shape', 'tile', 'GFLOP/s (range)'],
  style: { head: [], border: [] },
});
for (const { operation, shape, tile, median, min, max } of rows) {
  table.push([operation, shape, tile, `${median.toFixed(1)} (${min.toFixed(1)}-${max.toFixed(1)})`]);
}
console.log(
  `Node ${process.versions.node}, ${level === 1 ? 'relaxed-simd' : 'simd'}, ${cpus()[0]?.model ?? 'unknown'}`,
);
console.log(table.toString());
const at = process.argv.indexOf('--json');
if (at > 0) {
  const file = process.argv[at + 1]!;
  writeFileSync(
    file,
    `${JSON.stringify({ cpu: cpus()[0]?.model, engine: `Node ${process.versions.node}`, kernels: level === 1 ? 'relaxed-simd' : 'simd', rows }, null, 1)}\n`,
  );
}
rt.dispose();

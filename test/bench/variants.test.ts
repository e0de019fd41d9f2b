/** The contest of paths: every path is verified, each shape has a plan and a winner, and what is kept is read again. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRuntime } from 'lora-wasm';
import { expect, test } from 'vitest';
import { measurePaths, OPERATIONS } from '../../bench/variants/paths.js';
import type { PathsReport } from '../../bench/variants/pick.js';
import { planForward } from '../../src/engine/plan.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

test.each([
  [0, '5x8', '2x4'],
  [1, '6x8', '2x6'],
])('at level %d the plans name the tiles that won', (level, packed, dot) => {
  const pathOf = (M: number): number => planForward(level, M, 768, 768, 0) & 15;
  expect(`${pathOf(256)}x8`).toBe(packed);
  expect(`2x${pathOf(4)}`).toBe(dot);
});

test('a path whose kernel does nothing is refused', async () => {
  const rt = await createRuntime({ kernels: 'simd', threads: 1, seed: 1 });
  try {
    const kernels = { ...rt.engine.kernels, linearBackwardInput: () => {} };
    Object.defineProperty(rt.engine, 'kernels', { value: kernels, configurable: true });
    expect(() => measurePaths(rt, true)).toThrow('verify: dx = dy·W M=1 N=768 K=768');
  } finally {
    Reflect.deleteProperty(rt.engine, 'kernels');
    rt.dispose();
  }
});

test('the command measures paths and keeps a row a line', { timeout: 600_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'lora-wasm-variants-'));
  try {
    const file = join(folder, 'out.json');
    const args = ['--import', 'tsx', 'bench/variants/pick.ts', '--quick', '--json', file];
    const printed = execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
    const { paths } = JSON.parse(readFileSync(file, 'utf8')) as PathsReport;
    expect(readFileSync(file, 'utf8').split('\n').length).toBeLessThan(paths.length + 20);
    for (const name of OPERATIONS) {
      const own = paths.filter(({ operation, kernels }) => operation === name && kernels === 'simd');
      // Two counts of rows, each with a winner and a plan.
      for (const key of ['winner', 'planned'] as const) expect(own.filter((row) => row[key])).toHaveLength(2);
      for (const { gflops } of own) expect(gflops).toBeGreaterThan(0);
      expect(printed).toContain(`\nsimd, ${name}\n`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** The benchmark itself: it runs, its JSON has the promised form, and its check refuses wrong results. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { goalsOf } from '../../bench/goals.js';
import { pairedRatio, summarise } from '../../bench/measure.js';
import { plainForward } from '../../bench/naive.js';
import { insertTables, sectionOf } from '../../bench/readme-tables.js';
import { isReport, OP } from '../../bench/records.js';
import { crossEntropyGradient, type TwinLayer, twinGradients } from '../../bench/twin.js';
import { expectForward, productSums, randomArray, verify, verifyClose } from '../../bench/verify.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

describe('npm run bench', () => {
  test('--quick measures every contestant and writes JSON of the promised form', { timeout: 120_000 }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'lora-wasm-bench-'));
    try {
      const file = join(folder, 'bench.json');
      const args = ['--import', 'tsx', 'bench/main.ts', '--quick', '--json', file];
      const printed = execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
      const report: unknown = JSON.parse(readFileSync(file, 'utf8'));
      if (!isReport(report)) throw new Error('bench.json has another form');
      expect(printed).toContain('How fast');
      expect(report.ceilings.plain).toBeGreaterThan(0);
      expect(new Set(report.rows.map(({ operation }) => operation))).toEqual(new Set(Object.values(OP)));
      expect(new Set(report.rows.map(({ contestant }) => contestant))).toEqual(
        new Set(['lora-wasm', 'plain TypeScript', 'naive WASM']),
      );
      for (const row of report.rows) {
        expect(row.min).toBeLessThanOrEqual(row.median);
        expect(row.median).toBeLessThanOrEqual(row.max);
        // Handling adapters is no arithmetic: its rows have a time and no speed.
        const handling = [OP.loadAdapter, OP.switchAdapter, OP.mergeAdapter].some(
          (name) => name === row.operation,
        );
        if (handling) expect(row.median).toBeGreaterThan(0);
        else expect(row.gflops).toBeGreaterThan(0);
      }
      for (const { contestant, operation, reason } of report.notMeasured) {
        expect([contestant, operation, reason].every((text) => text.length > 0)).toBe(true);
      }
      expect(goalsOf(report)).toHaveLength(7);
      expect(sectionOf(report, 'x.json')).toContain(report.engine);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('verify', () => {
  const [M, N, K] = [3, 5, 17];
  const x = randomArray(M * K, 1);
  const w = randomArray(N * K, 2);
  const bias = randomArray(N, 3);
  const low = { r: 2, a: randomArray(2 * K, 4), b: randomArray(N * 2, 5), scaling: 0.5 };
  const sums = productSums(M, N, K, x, w, bias);
  const expected = expectForward(sums, M, N, K, x, null);
  const result = (): Float32Array => {
    const y = new Float32Array(M * N);
    plainForward(M, N, K, x, w, bias, y);
    return y;
  };

  test('accepts the plain product', () => {
    expect(() => verify('plain', result(), expected)).not.toThrow();
  });

  test.each(Array.from({ length: M * N }, (_, i) => i))('refuses element %i off by a thousandth', (i) => {
    const y = result();
    y[i]! += 1e-3;
    expect(() => verify('plain', y, expected)).toThrow(`verify: plain: element ${i} is`);
  });

  test('refuses NaN, a wrong length and a missing low-rank part', () => {
    const y = result();
    y[4] = Number.NaN;
    expect(() => verify('plain', y, expected)).toThrow('element 4 is NaN');
    expect(() => verify('plain', new Float32Array(2), expected)).toThrow('has 2 elements, expected 15');
    expect(() => verify('fused', result(), expectForward(sums, M, N, K, x, low))).toThrow(
      'verify: fused: element',
    );
  });

  test('refuses bounds that would prove nothing', () => {
    const wide = { values: expected.values, bounds: new Float64Array(M * N).fill(1) };
    expect(() => verify('plain', result(), wide)).toThrow('expected at most a hundredth');
  });

  test('holds gradients against a share of the largest', () => {
    const values = Float64Array.of(1, -2, 0.5);
    expect(() => verifyClose('dA', Float32Array.of(1, -2, 0.5001), values)).not.toThrow();
    expect(() => verifyClose('dA', Float32Array.of(1, -2, 0.51), values)).toThrow('dA: element 2 is');
  });
});

test('the float64 twin of a step agrees with central differences', () => {
  const layer = (N: number, K: number, seed: number): TwinLayer => {
    const low = { r: 2, a: randomArray(2 * K, seed), b: randomArray(N * 2, seed + 1), scaling: 1.5 };
    return { N, K, w: randomArray(N * K, seed + 2), bias: randomArray(N, seed + 3), low };
  };
  const layers = [layer(6, 5, 10), layer(4, 6, 20)];
  const [M, classes] = [3, 4];
  const x = randomArray(M * 5, 30);
  const labels = Int32Array.of(2, 0, 3);
  const loss = (): number => {
    let total = 0;
    twinGradients(layers, M, x, (y) => {
      for (const [m, label] of labels.entries()) {
        const row = y.subarray(m * classes, (m + 1) * classes);
        total += (Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[label]!) / M;
      }
      return new Float64Array(y.length);
    });
    return total;
  };
  const gradients = twinGradients(layers, M, x, crossEntropyGradient(labels, classes));
  for (const [i, { low }] of layers.entries()) {
    for (const [values, gradient] of [
      [low!.a, gradients[i]!.da!] as const,
      [low!.b, gradients[i]!.db!] as const,
    ]) {
      for (const [at, value] of values.entries()) {
        values[at] = value + 2 ** -10;
        const high = loss();
        values[at] = value - 2 ** -10;
        const slope = (high - loss()) / 2 ** -9;
        values[at] = value;
        expect(Math.abs(slope - gradient[at]!)).toBeLessThan(1e-4);
      }
    }
  }
});

test('medians and paired ratios', () => {
  expect(summarise([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3, rounds: [3, 1, 2] });
  expect(summarise([4, 1, 2, 3]).median).toBe(2.5);
  // Both slow down in the second round: the ratio does not move.
  expect(pairedRatio({ rounds: [2, 20, 2] }, { rounds: [1, 10, 1] })).toBe(2);
});

test('insertTables replaces what stands between the marks and needs both', () => {
  const readme = 'a\n<!-- bench:start -->\nold\n<!-- bench:end -->\nb';
  expect(insertTables(readme, 'new')).toBe('a\n<!-- bench:start -->\nnew\n<!-- bench:end -->\nb');
  expect(() => insertTables('a', 'new')).toThrow('README has no <!-- bench:start -->');
});

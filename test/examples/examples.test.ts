/** The examples as a reader runs them, at reduced size, over the built package: what they promise must hold. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import { readOptions } from '../../examples/mnist/options.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Results {
  readonly parameters: { base: number; withLora: number; lora: number; percent: number };
  readonly digit: number;
  readonly wrong: Record<'base' | 'loraOn' | 'loraOff' | 'merged' | 'full', number[]>;
  readonly accuracy: Record<'base' | 'loraOn' | 'full', number>;
  readonly frozenUnchanged: boolean;
  readonly bytes: { base: number; adapter: number };
  readonly swapMs: number;
  readonly stepMs: { lora: number; full: number };
  readonly forwardMs: { base: number; loraOn: number; merged: number };
  readonly kernels: string;
  readonly engine: string;
}

function run(file: string, ...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', file, ...args], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return { status, output: stdout + stderr };
}

describe('the MNIST story at reduced size', () => {
  test('its invariants hold', { timeout: 600_000 }, () => {
    const json = join(mkdtempSync(join(tmpdir(), 'lora-wasm-')), 'demo.json');
    const less = ['--train-images', '300', '--steps', '30', '--rounds', '1'];
    const { status, output } = run('examples/mnist/main.ts', ...less, '--seed', '3', '--json', json);
    expect(status, output).toBe(0);
    const results = JSON.parse(readFileSync(json, 'utf8')) as Results;
    expect(results.parameters).toMatchObject({ base: 2_807_010, withLora: 2_813_804, lora: 6_794 });
    expect(results.parameters.percent.toFixed(3)).toBe('0.242');
    expect(output).toContain('trainable params: 6,794 || all params: 2,813,804 || trainable%: 0.2415');
    for (const counts of Object.values(results.wrong)) expect(counts).toHaveLength(10);
    expect(results.wrong.loraOff).toEqual(results.wrong.base);
    expect(results.wrong.merged).toEqual(results.wrong.loraOn);
    expect(results.wrong.loraOn[results.digit]).toBeLessThan(results.wrong.base[results.digit]!);
    expect(results.frozenUnchanged).toBe(true);
    expect(output).toContain('merged predictions equal LoRA on: yes.');
    expect(results.bytes.base).toBeGreaterThan(4 * 2_807_010);
    expect(results.bytes.adapter).toBeGreaterThan(4 * 6_794);
    expect(results.bytes.adapter).toBeLessThan(4 * 6_794 + 2_000);
    expect(results.accuracy.base).toBeCloseTo(1 - results.wrong.base.reduce((a, b) => a + b, 0) / 2000, 10);
    for (const time of [
      results.swapMs,
      results.stepMs.lora,
      results.stepMs.full,
      ...Object.values(results.forwardMs),
    ]) {
      expect(time).toBeGreaterThan(0);
    }
  });

  test.each([
    [['--digit', '12'], '--digit', '0 to 9'],
    [['--rank', '0'], '--rank', '1 to 784'],
    [['--epochs', '1.5'], '--epochs', '1 to 100'],
    [['--batch-size', 'ten'], '--batch-size', '1 to 1000'],
    [['--lr', '-1'], '--lr', 'above 0'],
    [['--steps', '0'], '--steps', '1 to 10000'],
    [['--rounds', '101'], '--rounds', '1 to 100'],
    [['--kernels', 'fast'], '--kernels', 'relaxed-simd'],
    [['--colour', 'red'], '--colour', 'unknown option'],
  ])('%j is refused', (args, option, words) => {
    const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const exit = vi.spyOn(process, 'exit').mockImplementation((code) => {
      throw new Error(`exit ${code}`);
    });
    expect(() => readOptions(['node', 'demo', ...args])).toThrow('exit 1');
    const output = said.mock.calls.join();
    said.mockRestore();
    exit.mockRestore();
    expect(output).toContain(option);
    expect(output).toContain(words);
  });

  test('a refused option ends the program', () => {
    const { status, output } = run('examples/mnist/main.ts', '--digit', '12');
    expect(status).toBe(1);
    expect(output).toContain('0 to 9');
  });
});

test('several adapters over one base', () => {
  const { status, output } = run('examples/adapters.ts');
  expect(status, output).toBe(0);
  expect(output).toContain('rows with adapters of their own equal full runs: yes');
  expect(output).toContain('by combining and by setScale: the same');
  expect(output).toContain('the output is the same: yes');
  expect(output).toContain('product: active, trainable, over a changed base');
});

test('an operation of one’s own agrees with differences', () => {
  const { status, output } = run('examples/custom-op.ts');
  expect(status, output).toBe(0);
  expect(output.split('\n').filter((line) => line.startsWith('d/dx'))).toHaveLength(5);
});

test('the Trainer over a network of one’s own, stopped and gone on with', () => {
  const { status, output } = run('examples/trainer.ts');
  expect(status, output).toBe(0);
  expect(output).toContain('aborted after step 27');
  expect(output).toContain('the adapter is the same, byte for byte: yes');
  const shares = [...output.matchAll(/([\d.]+) % right/g)].map(([, share]) => Number(share));
  // The adapter reads what the base could not.
  expect(shares.at(-1)).toBeGreaterThan(60);
});

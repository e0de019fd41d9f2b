/** The whole model in the suite `llm`: figures follow from rounds and sizes, and a model that computes something else is refused. */
import { fileURLToPath } from 'node:url';
import { createRuntime } from 'lora-wasm';
import { expect, test } from 'vitest';
import { pairedRatio } from '../../bench/core/measure.js';
import { nodeEngine } from '../../bench/engines.js';
import { isModelRow, type ModelRow, modelRows, percentsOf, speedsOf } from '../../bench/llm/model.js';
import { SUITES } from '../../bench/suites.js';
import { environmentOf, switchKernels } from './environment.js';

const PATH = fileURLToPath(new URL('../golden/gguf/q8_0.gguf', import.meta.url));
const MODEL = { path: PATH, greedy: null };
/** Of the tiny model: two layers, 64 wide, 32 of them for keys and values, inner width 96, vocabulary 96. */
const MATRICES = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64);
const OPTIONS = { quick: true, kernels: 'auto', threads: 2, filter: '^(prompt|generation)$' } as const;

test('a prompt and its continuation are measured on one thread, on two, and over float32', async () => {
  const { rows, notMeasured } = await nodeEngine().run('llm', { ...OPTIONS, model: MODEL }, () => {});
  expect(notMeasured).toEqual([]);
  expect(rows.every(isModelRow)).toBe(true);
  const models = rows as ModelRow[];
  expect(models.map(({ operation, shape }) => `${operation}, ${shape}`)).toEqual([
    'prompt, weights as stored, 16 tokens, 1 thread',
    'generation, weights as stored, 4 tokens, 1 thread',
    'prompt, weights as stored, 16 tokens, 2 threads',
    'generation, weights as stored, 4 tokens, 2 threads',
    'prompt, weights in float32, 16 tokens, 1 thread',
  ]);
  const prompt = 2 * MATRICES + 2 * 2 * 64 * 17;
  for (const row of models) {
    const { operation, tokens, rounds, ceilings, gflops, median, percentOfCeiling } = row;
    const flops = operation.startsWith('prompt') ? prompt : 2 * (MATRICES + 96 * 64);
    expect(gflops * median * 1e6).toBeCloseTo(tokens * flops, 3);
    expect([rounds.length, ceilings.length]).toEqual([2, 2]);
    expect(Math.min(...ceilings)).toBeGreaterThan(0);
    for (const [i, speed] of speedsOf(row).entries()) {
      expect((speed * rounds[i]!) / 1000).toBeCloseTo(tokens, 9);
      expect((percentsOf(row)[i]! * ceilings[i]!) / 100).toBeCloseTo((speed * flops) / 1e9, 9);
    }
    const [low, high] = percentsOf(row);
    expect(percentOfCeiling).toBeCloseTo((low! + high!) / 2, 9);
    expect(SUITES.llm.cells(row)).toHaveLength(SUITES.llm.columns.length);
  }
  expect(models[0]!.ratio).toBeCloseTo(pairedRatio(models[0]!, models[4]!), 10);
  expect(models.slice(1).map(({ ratio }) => ratio)).toEqual([null, null, null, null]);
});

test('without a model the suite says what it left out', async () => {
  const { rows, notMeasured } = await nodeEngine().run('llm', { ...OPTIONS, model: null }, () => {});
  expect(rows).toEqual([]);
  expect(notMeasured.map(({ operation }) => operation)).toEqual(['the whole model']);
});

test('several threads whose kernels do nothing are refused, and nothing is left in memory', async () => {
  const [rt, more] = [await createRuntime({ threads: 1 }), await createRuntime({ threads: 1 })];
  const environment = await environmentOf(rt, more, /prompt/);
  const source = { source: PATH, greedy: null };
  // Reading a model needs kernels.
  const { off, on } = switchKernels(more);
  const progress = (text: string): void => {
    if (text.startsWith('verifying')) off();
  };
  // What kernels keep as scratch stays from the first time on.
  const held: number[] = [];
  for (const _ of [1, 2, 3]) {
    const rows = modelRows({ ...environment, model: source, progress });
    await expect(rows).rejects.toThrow(/^verify: weights as stored, threads: 1, logit/);
    held.push(rt.memory().held);
    on();
  }
  expect(new Set(held).size).toBe(1);
  for (const runtime of [rt, more]) runtime.dispose();
});

/** The whole model in the suite `llm`: figures follow from rounds and sizes, and a model that computes something else is refused. */
import { fileURLToPath } from 'node:url';
import { createRuntime } from 'lora-wasm';
import { expect, test } from 'vitest';
import { pairedRatio } from '../../bench/core/measure.js';
import { nodeEngine } from '../../bench/engines.js';
import { SMOLLM2, stepFlops } from '../../bench/llm/sizes.js';
import type { StartNative } from '../../bench/llm/step.js';
import { modelRows } from '../../bench/llm/suite.js';
import { isModelRow, type ModelRow, percentsOf, speedsOf } from '../../bench/llm/turns.js';
import { SUITES } from '../../bench/suites.js';
import { environmentOf, switchKernels } from './environment.js';

const PATH = fileURLToPath(new URL('../golden/gguf/q8_0.gguf', import.meta.url));
const MODEL = { path: PATH, golden: null };
/** Of the tiny model: two layers, 64 wide, 32 of them for keys and values, inner width 96, vocabulary 96. */
const MATRICES = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64);
const OPTIONS = {
  quick: true,
  kernels: 'auto',
  threads: 2,
  filter: '^(prompt|generation|training)$',
} as const;

test('a prompt, its continuation and training are measured on one thread, on two, and over float32', async () => {
  const { rows, notMeasured } = await nodeEngine().run('llm', { ...OPTIONS, model: MODEL }, () => {});
  expect(notMeasured.map(({ contestant, operation }) => [contestant, operation])).toEqual([
    ['pytorch+peft', 'training'],
  ]);
  expect(rows.every(isModelRow)).toBe(true);
  const models = rows as ModelRow[];
  expect(models.map(({ operation, shape }) => `${operation}, ${shape}`)).toEqual([
    'prompt, weights as stored, 16 tokens, 1 thread',
    'generation, weights as stored, 4 tokens, 1 thread',
    'prompt, weights in float32, 16 tokens, 1 thread',
    'prompt, weights as stored, 16 tokens, 2 threads',
    'generation, weights as stored, 4 tokens, 2 threads',
    'training, weights as stored, 16 tokens, 1 thread',
    'training, weights in float32, 16 tokens, 1 thread',
    'training, weights as stored, 16 tokens, 2 threads',
  ]);
  const attention = 2 * 64 * 17;
  const flopsOf = {
    prompt: 2 * MATRICES + 2 * attention,
    generation: 2 * (MATRICES + 96 * 64),
    // Both directions, but not back through what reads the first block's input; adapters of rank 8: [N + K] of all matrices.
    training:
      4 * (MATRICES + 96 * 64) -
      2 * 64 * (64 + 2 * 32) +
      2 * 6 * 8 * (2 * 128 + 2 * 96 + 3 * 160) -
      3 * 2 * 8 * 64 +
      7 * attention,
  };
  for (const row of models) {
    const { operation, tokens, rounds, ceilings, gflops, median, percentOfCeiling } = row;
    const flops = flopsOf[operation.split(',')[0] as keyof typeof flopsOf];
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
  expect(models[0]!.ratio).toBeCloseTo(pairedRatio(models[0]!, models[2]!), 10);
  expect(models[5]!.ratio).toBeCloseTo(pairedRatio(models[5]!, models[6]!), 10);
  expect(models.flatMap(({ ratio }, i) => (ratio === null ? [] : [i]))).toEqual([0, 5]);
});

test('without a model the suite says what it left out', async () => {
  const { rows, notMeasured } = await nodeEngine().run('llm', { ...OPTIONS, model: null }, () => {});
  expect(rows).toEqual([]);
  expect(notMeasured.map(({ operation }) => operation)).toEqual(['the whole model']);
});

test('a token of a step costs what its products need', () => {
  const parts = stepFlops(SMOLLM2, 256, 8);
  const millions = Object.values(parts).map((flops) => Math.round(flops / 1e6));
  expect(millions).toEqual([424, 113, 15, 31]);
  expect(Object.values(parts).reduce((a, b) => a + b) / 1e9).toBeCloseTo(0.583, 3);
});

test.each([
  ['prompt', /^verify: logit \d+: weights as stored, threads: 1: /],
  ['training', /^verify: the loss of a step: weights as stored, threads: 1: /],
])(
  '%s: several threads whose kernels do nothing are refused, and nothing is left in memory',
  async (part, fault) => {
    const [rt, more] = [await createRuntime({ threads: 1 }), await createRuntime({ threads: 1 })];
    const environment = await environmentOf(rt, more, new RegExp(part));
    const source = { source: PATH, golden: null };
    // Reading a model needs kernels.
    const { off, on } = switchKernels(more);
    const progress = (text: string): void => {
      if (text.startsWith('verifying')) off();
    };
    // What kernels keep as scratch stays from the first time on.
    const held: number[] = [];
    for (const _ of [1, 2, 3]) {
      const rows = modelRows({ ...environment, model: source, progress });
      await expect(rows).rejects.toThrow(fault);
      held.push(rt.memory().held);
      on();
    }
    expect(new Set(held).size).toBe(1);
    for (const runtime of [rt, more]) runtime.dispose();
  },
);

test('a PyTorch that learns something else is refused, and ended', async () => {
  const [rt, more] = [await createRuntime({ threads: 1 }), await createRuntime({ threads: 1 })];
  const environment = await environmentOf(rt, more, /training/);
  const ended: number[] = [];
  const files: string[][] = [];
  const startNative: StartNative = async (threads, adapter) => {
    files.push(Object.keys(adapter));
    return {
      ...{ version: 'none', threads, step: async () => ({ loss: 1, norm: 1, ms: 1 }) },
      ...{ resident: async () => null, close: () => void ended.push(threads) },
    };
  };
  const rows = modelRows({ ...environment, model: { source: PATH, golden: null, startNative } });
  await expect(rows).rejects.toThrow(/^verify: the loss of a step: pytorch\+peft, threads: 1: 1, expected/);
  expect(ended).toEqual([1, 1]);
  expect(files[0]).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
  for (const runtime of [rt, more]) runtime.dispose();
});

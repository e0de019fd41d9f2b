/** The goals of the comparison with peers, over fixed numbers. */
import { expect, test } from 'vitest';
import type { Operation } from '../../bench/core/problem.js';
import { PACKAGE, type Row } from '../../bench/core/records.js';
import { peerGoals } from '../../bench/peers/goals.js';
import { rowOf } from './rows.js';

const row = (contestant: string, operation: Operation, rounds: number[], more: Partial<Row> = {}): Row => {
  const base = rowOf(contestant, 1, rounds, { operation });
  const gflops = 300 / base.median;
  const shape = `M=256 N=768 K=768${operation === 'linear forward' ? '' : ' r=8'}`;
  // Under a ceiling of 80.
  return { ...base, gflops, shape, percentOfCeiling: (100 * gflops) / 80, ...more };
};
const ROWS: Row[] = [
  row(PACKAGE, 'linear forward', [5, 6, 5]),
  row('onnxruntime-web', 'linear forward', [10, 9, 11]),
  row('@tensorflow/tfjs', 'linear forward', [6, 6, 6]),
  row(PACKAGE, 'LoRA training step', [10, 10, 10]),
  row('@tensorflow/tfjs', 'LoRA training step', [100, 100, 100]),
  row('@tensorflow/tfjs', 'LoRA training step', [15, 20, 15], { variant: 'custom gradient' }),
  row('native', 'LoRA training step', [4, 4, 4], { kernels: 'native', percentOfCeiling: null }),
  // Neither threads nor another shape count.
  row('onnxruntime-web', 'LoRA forward', [1, 1, 1], { threads: 2 }),
  row(PACKAGE, 'LoRA forward', [1, 1, 1], { shape: 'M=10 N=2000 K=1000 r=1' }),
];
const goal = (words: string) => peerGoals(ROWS).find((one) => one.goal === words)!;

test('one for each forward and its peers, one for each peer with a backward on WebAssembly', () => {
  expect(peerGoals(ROWS).map((one) => `${one.goal}: ${one.limit}`)).toEqual([
    'linear forward, over onnxruntime-web: at least 1.8x',
    'linear forward, over @tensorflow/tfjs: at least 1.8x',
    'LoRA forward, over onnxruntime-web: at least 1.8x',
    'LoRA forward, over @tensorflow/tfjs: at least 1.8x',
    'LoRA training step, over @tensorflow/tfjs: at least 3x',
    'LoRA training step, over @tensorflow/tfjs (custom gradient): at least 3x',
  ]);
});

test('times as fast are the ratios of rounds, not of medians', () => {
  // 10/5, 9/6, 11/5; 60 and 30 of 80 GFLOP/s.
  expect(goal('linear forward, over onnxruntime-web')).toMatchObject({
    measured: '2.00 (1.50-2.20); at 75 and 38 % of the ceiling',
    met: true,
  });
});

test('why a goal is missed follows from the figures', () => {
  expect(goal('linear forward, over @tensorflow/tfjs')).toMatchObject({
    measured: '1.20 (1.00-1.20); at 75 and 63 % of the ceiling; the ceiling allows 1.60 at most',
    met: false,
  });
  // 20 GFLOP/s: four times that is the ceiling, three times that is 75 % of it.
  expect(goal('LoRA training step, over @tensorflow/tfjs (custom gradient)').measured).toContain(
    'would need 75 % of the ceiling',
  );
  expect(goal('LoRA forward, over onnxruntime-web')).toMatchObject({ measured: null, met: null });
});

/** The goals beside the peers: their ratios, what the ceiling allows and why a goal is missed, over fixed numbers. */
import { describe, expect, test } from 'vitest';
import { goalsTable, type PeerGoal, peerGoals, whyMissed } from '../../bench/peers/goals.js';
import type { Operation } from '../../bench/peers/peer.js';
import { PACKAGE, type Row } from '../../bench/records.js';

const CEILING = 80;

/** A row of one thread at the goals' shape; its speed is 300 over the median of `rounds`. */
function row(contestant: string, operation: Operation, rounds: number[], more: Partial<Row> = {}): Row {
  const sorted = [...rounds].sort((a, b) => a - b);
  const median = sorted[(sorted.length - 1) / 2]!;
  const gflops = 300 / median;
  return {
    contestant,
    operation,
    shape: `M=256 N=768 K=768${operation === 'linear forward' ? '' : ' r=8'}`,
    kernels: contestant === PACKAGE ? 'relaxed-simd' : 'own',
    threads: 1,
    median,
    min: sorted[0]!,
    max: sorted.at(-1)!,
    rounds,
    gflops,
    percentOfCeiling: (100 * gflops) / CEILING,
    endToEnd: null,
    ratio: null,
    flopRatio: null,
    ratioTo: null,
    ...more,
  };
}

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

const goal = (operation: Operation, peer: string): PeerGoal =>
  peerGoals(ROWS).find((one) => one.operation === operation && one.peer === peer)!;

describe('goals beside the peers', () => {
  test('one for each forward and its peers, one for each peer with a backward on WebAssembly', () => {
    expect(peerGoals(ROWS).map(({ operation, peer, limit }) => `${operation}: ${peer} ${limit}`)).toEqual([
      'linear forward: onnxruntime-web 1.8',
      'linear forward: @tensorflow/tfjs 1.8',
      'LoRA forward: onnxruntime-web 1.8',
      'LoRA forward: @tensorflow/tfjs 1.8',
      'LoRA training step: @tensorflow/tfjs 3',
      'LoRA training step: @tensorflow/tfjs (custom gradient) 3',
    ]);
  });

  test('times as fast are the ratios of rounds, not of medians', () => {
    const { result } = goal('linear forward', 'onnxruntime-web');
    // 10/5, 9/6, 11/5.
    expect(result!.times).toMatchObject({ median: 2, min: 1.5, max: 2.2 });
    expect(result!.met).toBe(true);
  });

  test('the ceiling over the speed of the peer is the most that can be', () => {
    const { result } = goal('linear forward', '@tensorflow/tfjs');
    // 300/6 = 50 and 300/5 = 60 GFLOP/s under a ceiling of 80.
    expect(result!.peerPercent).toBeCloseTo(62.5, 10);
    expect(result!.ownPercent).toBeCloseTo(75, 10);
    expect(result!.atCeiling).toBeCloseTo(1.6, 10);
  });

  test("a peer's percentage is of the ceiling of this package's build", () => {
    const plain = [
      row(PACKAGE, 'linear forward', [5], { kernels: 'simd', percentOfCeiling: 100 }),
      row('onnxruntime-web', 'linear forward', [10]),
    ];
    const [first] = peerGoals(plain);
    expect(first!.result).toMatchObject({ peerPercent: 50, atCeiling: 2 });
    expect(goalsTable({ rows: plain })).toContain('set for relaxed SIMD; this engine runs plain SIMD');
    expect(goalsTable({ rows: ROWS })).not.toContain('plain SIMD');
  });

  test('why a goal is missed follows from the figures', () => {
    expect(whyMissed(goal('linear forward', 'onnxruntime-web'))).toBe('');
    expect(whyMissed(goal('linear forward', '@tensorflow/tfjs'))).toBe('the ceiling allows 1.60 at most');
    // 20 GFLOP/s: four times that is the ceiling, three times that is 75 % of it.
    expect(whyMissed(goal('LoRA training step', '@tensorflow/tfjs (custom gradient)'))).toBe(
      'would need 75 % of the ceiling',
    );
    expect(whyMissed(goal('LoRA forward', 'onnxruntime-web'))).toBe('');
  });

  test('the table has a line for each, measured or not', () => {
    const lines = goalsTable({ rows: ROWS }).split('\n');
    expect(lines[0]).toBe('Goals at M=256 N=768 K=768 r=8, one thread against one thread.');
    expect(lines).toHaveLength(2 + 2 + 6);
    expect(lines).toContain(
      '| linear forward, over @tensorflow/tfjs | 1.8 | 1.20 (1.00-1.20) | no | 63 | 1.60 | 75 | the ceiling allows 1.60 at most |',
    );
    expect(lines).toContain('| LoRA forward, over onnxruntime-web | 1.8 | not measured |  |  |  |  |  |');
    expect(lines).toContain(
      '| LoRA training step, over @tensorflow/tfjs | 3 | 10.00 (10.00-10.00) | yes | 4 | 26.67 | 38 |  |',
    );
  });
});

/** A package that takes part in several ways, and the pause before a turn, over stand-ins. */
import { describe, expect, test } from 'vitest';
import { plainForward } from '../../bench/naive-product.js';
import { chartOf } from '../../bench/peers/chart.js';
import { CONTESTANTS } from '../../bench/peers/contestants.js';
import { drive } from '../../bench/peers/drive.js';
import { LocalHost } from '../../bench/peers/host.js';
import { labelOf } from '../../bench/peers/label.js';
import { CUSTOM_GRADIENT, type Loader, type Place } from '../../bench/peers/peer.js';
import { peersSection } from '../../bench/peers/section.js';
import { peerCells } from '../../bench/peers/table.js';
import type { Report } from '../../bench/records.js';

const SHAPE = { M: 3, N: 8, K: 5, r: null };
const EMPTY_MODULE = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);

async function place(threads: number): Promise<Place> {
  return { threads, filesOf: () => '', naive: new WebAssembly.Module(EMPTY_MODULE), python: null };
}

/** `called` hears of every run. */
function loops(variant?: string, called: () => void = () => {}): () => Promise<Loader> {
  return async () => async () => ({
    name: 'loops',
    ...(variant !== undefined && { variant }),
    version: '1',
    settings: variant ?? 'as they are',
    kernels: 'own',
    threads: 1,
    lacks: {},
    prepare: (_operation, { M, N, K, x, w, bias }) => {
      const y = new Float32Array(M * N);
      const run = (): void => {
        called();
        plainForward(M, N, K, x, w, bias, y);
      };
      return { run, read: () => ({ y }), dispose: () => {} };
    },
  });
}

describe('variants of one contestant', () => {
  test('have rows, cells, bars and settings of their own', async () => {
    const contestants = { loops: loops(), 'loops (unrolled)': loops('unrolled') };
    const host = new LocalHost(contestants, place);
    const effort = { rounds: 2, roundMs: 1, settleMs: 0 };
    const party = { host, names: Object.keys(contestants), threads: 1 };
    const { rows, notMeasured } = await drive([party], effort, () => {}, [SHAPE]);
    expect(notMeasured).toEqual([]);
    expect(rows.map(({ contestant, variant }) => [contestant, variant])).toEqual([
      ['loops', undefined],
      ['loops', 'unrolled'],
    ]);
    expect(rows.map((row) => peerCells(row, rows)[3])).toEqual(['loops', 'loops (unrolled)']);
    const report: Report = {
      commit: 'abc',
      cpu: 'a CPU',
      engine: 'Engine 1',
      command: 'npm run bench:peers',
      date: '2026-01-02',
      ceilings: { fused: 60, plain: 40, readGBs: null },
      rows,
      notMeasured,
    };
    expect(chartOf(report, /^M=3 /)).toContain('>loops (unrolled)</text>');
    const section = peersSection(report, 'f.json');
    expect(section).toContain('- loops: 1; as they are');
    expect(section).toContain('- loops (unrolled): 1; unrolled');
  });

  test('tfjs takes part with its own gradients and with custom ones', () => {
    const custom = labelOf({ contestant: '@tensorflow/tfjs', variant: CUSTOM_GRADIENT });
    expect(custom).toBe('@tensorflow/tfjs (custom gradient)');
    expect(Object.keys(CONTESTANTS)).toEqual(expect.arrayContaining(['@tensorflow/tfjs', custom]));
  });
});

test('a turn starts with a pause, and with calls that do not count', async () => {
  const runs: number[] = [];
  const host = new LocalHost({ loops: loops(undefined, () => runs.push(performance.now())) }, place);
  await host.load(['loops'], 1);
  await host.prepare('linear forward', SHAPE);
  runs.length = 0;
  const start = performance.now();
  const times = await host.round(1, 50, false);
  const end = performance.now();
  expect(Object.keys(times)).toEqual(['loops']);
  expect(runs[0]! - start).toBeGreaterThanOrEqual(49);
  // 50 ms of pause, 20 ms of waking, 1 ms that counts.
  expect(end - start).toBeGreaterThanOrEqual(70);
});

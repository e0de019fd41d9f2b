/** The comparison with peers without any peer: its hosts and rounds over stand-ins. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { plainProduct } from '../../bench/core/naive-product.js';
import {
  flopsOf,
  type Operation,
  type Prepared,
  problemOf,
  type Shape,
  shapeOf,
} from '../../bench/core/problem.js';
import { PACKAGE } from '../../bench/core/records.js';
import { drive, type Party } from '../../bench/peers/drive.js';
import { type Host, localHost, reasonOf } from '../../bench/peers/host.js';
import { loadOwn } from '../../bench/peers/loops.js';
import type { Contestants, Loader, Place } from '../../bench/peers/peer.js';

const SHAPE: Shape = { M: 5, N: 24, K: 17, r: 3 };
const EMPTY_MODULE = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);

async function placeOf(threads: number): Promise<Place> {
  return { threads, filesOf: () => '', naive: new WebAssembly.Module(EMPTY_MODULE), python: null };
}

/** A contestant that has the linear forward alone, its first element off by `error`; `called` hears of every run. */
function standIn(name: string, error: number, variant?: string, called = () => {}): () => Promise<Loader> {
  const lacks = { 'LoRA forward': 'forward only', 'LoRA training step': 'forward only' };
  return async () => async () => ({
    name,
    ...(variant !== undefined && { variant }),
    version: '1',
    settings: 'loops',
    kernels: 'own',
    threads: 1,
    lacks,
    prepare: (_operation, problem): Prepared => {
      const product = plainProduct(problem);
      const run = (): void => {
        called();
        product.run();
        product.read().y[0]! += error;
      };
      return { ...product, run };
    },
  });
}

const STAND_INS: Contestants = {
  [PACKAGE]: async () => loadOwn,
  right: standIn('right', 0),
  wrong: standIn('wrong', 1e-3),
  absent: async () => {
    throw new Error("Cannot find package 'absent'\nsecond line");
  },
};

/** A host for each. */
function partiesOf(contestants: Contestants): Party[] {
  return Object.keys(contestants).map((name) => ({
    ...{ name, threads: 1 },
    host: localHost(contestants, placeOf),
  }));
}

describe('a host', () => {
  test('measures what is verified and says why the rest is not', { timeout: 600_000 }, async () => {
    const effort = { rounds: 3, roundMs: 1, settleMs: 1 };
    const outcome = await drive(partiesOf(STAND_INS), effort, () => {}, [SHAPE]);
    const measured = outcome.rows.map(({ contestant, operation }) => `${contestant}: ${operation}`);
    expect(measured.sort()).toEqual([
      'lora-wasm: LoRA forward',
      'lora-wasm: LoRA training step',
      'lora-wasm: linear forward',
      'right: linear forward',
    ]);
    for (const row of outcome.rows) {
      expect(row.rounds).toHaveLength(3);
      const flops = flopsOf(SHAPE, row.operation as Operation);
      expect(row.gflops).toBeCloseTo(flops / row.median / 1e6, 10);
    }
    const reasons = outcome.notMeasured.map((entry) => `${entry.contestant}: ${entry.reason}`);
    expect(reasons).toContain("absent: Cannot find package 'absent'");
    expect(reasons.filter((reason) => reason.startsWith('right'))).toEqual([
      'right: forward only',
      'right: forward only',
    ]);
    expect(reasons).toContainEqual(
      expect.stringMatching(/^wrong: verify: wrong linear forward: element 0 is .* expected/),
    );
  });

  test('says that the package has no such threads', async () => {
    const party = { host: localHost(STAND_INS, placeOf), name: PACKAGE, threads: 4096 };
    const { rows, notMeasured } = await drive([party], { rounds: 1, roundMs: 1, settleMs: 0 }, () => {});
    expect(rows).toEqual([]);
    expect(notMeasured.map(({ operation }) => operation)).toEqual(['every operation, 4096 threads']);
    expect(notMeasured[0]!.reason.length).toBeGreaterThan(10);
  });
});

test.each([
  ["Cannot find package 'x' imported from /a/b/c.ts\n at d", "Cannot find package 'x'"],
  ['spawn /opt/some/python ENOENT', 'spawn python ENOENT'],
  ["no '@tensorflow/tfjs' at http://a/b/c", "no '@tensorflow/tfjs' at http://a/b/c"],
])('a reason names no folder: %s', (message, reason) => {
  expect(reasonOf(new Error(message))).toBe(reason);
});

test('rounds of several hosts alternate, the order reversed every round, save of who does not take part', async () => {
  const order: string[] = [];
  const hostOf = (name: string, ms: number): Host => ({
    load: async () => ({ name, version: '', settings: '', kernels: 'own', threads: 1 }),
    prepare: async () => (ms > 0 ? null : { reason: 'cannot', always: false }),
    round: async () => {
      order.push(name);
      return ms;
    },
    clear: async () => {},
  });
  const parties = [hostOf('a', 2), hostOf('b', 4), hostOf('c', 0)].map((host) => ({
    host,
    name: '',
    threads: 1,
  }));
  const shape = { M: 1, N: 1000, K: 1000, r: null };
  const effort = { rounds: 3, roundMs: 1, settleMs: 0 };
  const { rows, notMeasured } = await drive(parties, effort, () => {}, [shape]);
  expect(order).toEqual(['a', 'b', 'b', 'a', 'a', 'b']);
  expect(rows.map(({ contestant, median, gflops }) => [contestant, median, gflops])).toEqual([
    ['a', 2, 1],
    ['b', 4, 0.5],
  ]);
  const operation = 'linear forward, M=1 N=1000 K=1000, one thread';
  expect(notMeasured).toEqual([{ contestant: 'c', operation, reason: 'cannot' }]);
});

test.each([
  ['linear forward', 2 * 5 * 24 * 17, 'M=5 N=24 K=17'],
  ['LoRA forward', 2 * 5 * 24 * 17 + 2 * 5 * 3 * (24 + 17), 'M=5 N=24 K=17 r=3'],
  ['LoRA training step', 4 * 5 * 24 * 17 + 2 * 5 * 3 * 3 * (24 + 17), 'M=5 N=24 K=17 r=3'],
] as const)('flops of a %s', (operation, flops, shape) => {
  expect(flopsOf(SHAPE, operation)).toBe(flops);
  expect(shapeOf(SHAPE, operation)).toBe(shape);
});

test('a problem is the same every time and its B is not zero', () => {
  const [first, second] = [problemOf(SHAPE), problemOf(SHAPE)];
  expect(second).toEqual(first);
  expect(first.low.b.every((value) => value !== 0)).toBe(true);
  expect([first.x.length, first.w.length, first.target.length]).toEqual([5 * 17, 24 * 17, 5 * 24]);
});

describe('contestants', () => {
  test('one that takes part in two ways has rows of both', async () => {
    const contestants = { right: standIn('right', 0), 'right (unrolled)': standIn('right', 0, 'unrolled') };
    const effort = { rounds: 2, roundMs: 1, settleMs: 0 };
    const { rows } = await drive(partiesOf(contestants), effort, () => {}, [{ ...SHAPE, r: null }]);
    expect(rows.map(({ contestant, variant }) => [contestant, variant])).toEqual([
      ['right', undefined],
      ['right', 'unrolled'],
    ]);
  });

  test('a turn after a pause starts with calls that do not count', async () => {
    let runs = 0;
    const host = localHost({ right: standIn('right', 0, undefined, () => void runs++) }, placeOf);
    await host.load('right', 1);
    await host.prepare('linear forward', { ...SHAPE, r: null });
    const countOf = async (settleMs: number): Promise<number> => {
      runs = 0;
      await host.round(0, settleMs);
      return runs;
    };
    const alone = await countOf(0);
    expect(await countOf(1)).toBeGreaterThan(alone);
  });
});

test('the peers are a package of their own: they import the core and the pages, and no suite imports them', () => {
  const root = new URL('../../bench/', import.meta.url);
  const imports = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !/node_modules|^out|assembly/.test(file))
    .flatMap((file) =>
      [...readFileSync(new URL(file, root), 'utf8').matchAll(/(?:from |import\()'(\.[^']+)'/g)].map(
        ([, path]) => [file, new URL(path!, new URL(file, root)).href] as const,
      ),
    )
    .flatMap(([file, to]) => (to.startsWith(root.href) ? [[file, to.slice(root.href.length)] as const] : []));
  const across = imports.filter(([from, to]) => from.startsWith('peers/') !== to.startsWith('peers/'));
  expect(imports.length).toBeGreaterThan(100);
  const outwards = across.filter(([from]) => from.startsWith('peers/'));
  expect(outwards.length).toBeGreaterThan(10);
  expect(outwards.filter(([, to]) => !/^(core|browser)\//.test(to))).toEqual([]);
  // The command that writes every page asks each for its own.
  expect(across.filter(([from]) => !from.startsWith('peers/'))).toEqual([['readme.ts', 'peers/pages.js']]);
});

/**
 * Workers that are late, lost or given up: how long the caller waits for them, and what becomes of the memory where one may
 * still write. Clocks are the test's own. Starts, crashes and ends: `workers.node.test.ts`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Allocator } from '../../src/engine/allocator.js';
import { forwardCall } from '../../src/engine/calls.js';
import { matrix, NO_RANK, weight } from '../../src/engine/operands.js';
import { Pool, type PoolParts, type WorkerHandle } from '../../src/engine/pool/pool.js';
import { controlOf, DONE, TICKET } from '../../src/engine/pool/protocol.js';
import { Speed } from '../../src/engine/pool/speed.js';
import { startPool } from '../../src/engine/pool/start.js';
import { HOST } from '../../src/engine/pool/threads.js';
import { loadKernels } from '../../src/engine/wasm.js';
import { createRuntime, linear, type Runtime, WorkerError } from '../../src/index.js';
import { browserWorkers } from '../../src/platform/browser-workers.js';

/** What the last worker was started with, and its handle. */
const last: { control?: SharedArrayBuffer; handle?: WorkerHandle } = {};
vi.mock('../../src/platform/workers.js', async (original) => {
  const platform = await original<typeof import('../../src/platform/workers.js')>();
  const startWorkerHere: typeof platform.startWorker = (name, script, start, ears) => {
    last.control = start.control;
    last.handle = platform.startWorker(name, script, start, ears);
    return last.handle;
  };
  return { ...platform, startWorker: startWorkerHere };
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const idle: WorkerHandle = { release: () => {}, end: async () => {} };

/**
 * A pool of which the one worker claims a share and is silent up to look `answer`; the caller's share takes `share` ms of the
 * clock, a look `look`.
 */
function silentPool(share: number, look: number, rest: Partial<PoolParts> = {}, answer = Infinity) {
  const control = controlOf();
  const counts = { now: 0, looks: 0 };
  vi.spyOn(performance, 'now').mockImplementation(() => {
    if (++counts.looks === answer) Atomics.add(control.words, DONE, 1);
    counts.now += look;
    return counts.now;
  });
  const slow = (): void => {
    Atomics.add(control.words, TICKET, 1);
    counts.now += share;
    counts.looks = 0;
  };
  const parts = { kernels: { slow }, names: ['slow'], control, workers: [idle], mayBlock: false };
  return { pool: new Pool({ ...parts, ...rest }), counts };
}

describe('the wait for a worker that claimed a share', () => {
  test('ends after ten times what a share took the caller, and the patience', () => {
    const { pool, counts } = silentPool(2000, 0.5, { patience: 300 });
    expect(() => pool.run('slow', [[1], [2]], 0, 2 * 4096 ** 3)).toThrow(
      new WorkerError(
        'Runtime: a worker stopped in the middle of slow: no answer in 20305 ms; the result is lost, later work runs on one thread',
      ),
    );
    expect(counts.looks).toBeGreaterThan(40_000);
    expect(counts.looks).toBeLessThan(41_000);
  });

  test('has five seconds for a small job', () => {
    const { pool } = silentPool(1, 0.5);
    expect(() => pool.run('slow', [[1], [2]], 0, 1000)).toThrow('no answer in 5015 ms');
  });

  test('does not count the time for which the process was halted, or its core taken', () => {
    // The worker answers after a thousand looks at the clock, a minute each.
    const { pool, counts } = silentPool(1, 60_000, {}, 1000);
    pool.run('slow', [[1], [2]], 0, 1000);
    expect(counts.looks).toBe(1000);
    expect(pool.threads).toBe(2);
  });
});

test('what work takes is measured on all of the past, recent jobs first, and a halted process does not slow it', () => {
  const speed = new Speed();
  expect(speed.expect(5)).toBe(0);
  speed.add(100, 50);
  expect(speed.expect(10)).toBe(5);
  speed.add(0, 70);
  expect(speed.expect(10)).toBe(5);
  for (let i = 0; i < 200; i++) speed.add(100, 25);
  expect(speed.expect(10)).toBeCloseTo(2.5, 6);
  speed.add(100, 3_600_000);
  // One in ten of the weight is 10 times as slow.
  expect(speed.expect(10)).toBeCloseTo(2.5 * 1.9, 1);
});

test('a worker that is ended in the middle of a product is an error once, then one thread', async () => {
  const loaded = await loadKernels({ level: 'simd', wasm: undefined, maxBytes: 2 ** 26 }, true);
  const { memory, kernels } = loaded!;
  memory.grow(256);
  // The caller's share: it ends the worker once that one is in the middle of its own.
  const linearForward = (...values: number[]): void => {
    const { words } = controlOf(last.control);
    while ((Atomics.load(words, TICKET) & 255) < 2) Atomics.wait(words, DONE, 0, 1);
    void last.handle!.end();
    (kernels.linearForward as (...values: number[]) => void)(...values);
  };
  const pool = await startPool(HOST, { ...loaded!, kernels: { linearForward }, patience: 200 }, 2);
  if (typeof pool === 'string') throw new Error(pool);
  // The worker's share is a hundred times the caller's, so that it is still at work; both lie in the first 2 MiB.
  const share = (rows: number): number[] => {
    const at = 1 << 20;
    const operands = { x: matrix(at, rows, 256, 0), w: weight(at, 16, 256), low: NO_RANK };
    return forwardCall(0x14, { ...operands, colScale: 0, bias: 0, y: matrix(at, rows, 16, 0) }).whole(0);
  };
  expect(() => pool.run('linearForward', [share(1000), share(100_000_000)], 0, 1000)).toThrow('no answer in');
  expect(pool.threads).toBe(1);
  await pool.ended;
});

/** Addresses of new blocks of the size of `bytes`. */
function addresses(rt: Runtime, bytes: number, count: number): number[] {
  return Array.from({ length: count }, () => rt.engine.allocate(bytes));
}

test('the output and the scratch of a lost operation are not used again before its workers have ended', async () => {
  using rt = await createRuntime({ threads: 2 });
  const { pool } = rt.engine.threading;
  let ended: () => void = () => {};
  const end = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const spans: number[] = [];
  vi.spyOn(pool!, 'ended', 'get').mockReturnValue(end);
  vi.spyOn(pool!, 'run').mockImplementation((_kernel, shares) => {
    spans.push(shares[0]!.at(-3)!, shares[0]!.at(-1)!);
    throw new WorkerError('late');
  });
  const { output, scratch } = rt.scope(() => {
    const [x, w] = [rt.full([200, 300], 2), rt.full([250, 300], 3)];
    expect(() => linear(x, w)).toThrow('late');
    return { output: spans[0]!, scratch: spans[1]! };
  });
  const held = rt.memory().blocks;
  const before = addresses(rt, 200 * 250 * 4, 8);
  expect(before).not.toContain(output);
  expect(rt.engine.scratch(64)).not.toBe(scratch);
  ended();
  await end;
  await Promise.resolve();
  // Both blocks are back, and one of the size of the output lies where it lay.
  expect(rt.memory().blocks).toBe(held + 8 + 1 - 2);
  const after = addresses(rt, 200 * 250 * 4, 8);
  expect(Math.min(...after)).toBeLessThanOrEqual(output);
});

test('a fence holds back every block that meets it, and no other', () => {
  const allocator = new Allocator(new WebAssembly.Memory({ initial: 16 }), 0, 2 ** 24);
  const blocks = Array.from({ length: 4 }, () => allocator.allocate(100));
  allocator.fence(blocks[1]! + 8, blocks[2]! - blocks[1]!);
  for (const block of blocks) allocator.free(block, 100);
  expect(allocator.use().blocks).toBe(2);
  const again = Array.from({ length: 100 }, () => allocator.allocate(100));
  expect(again).toContain(blocks[0]);
  expect(again).toContain(blocks[3]);
  expect(again).not.toContain(blocks[1]);
  expect(again).not.toContain(blocks[2]);
  allocator.liftFences();
  expect(allocator.use().blocks).toBe(100);
  expect([allocator.allocate(100), allocator.allocate(100)].sort()).toEqual([blocks[1], blocks[2]].sort());
});

describe('a worker of a page', () => {
  const script = { url: new URL('https://example.com/worker.js') };
  const start = { participant: 1 } as Parameters<typeof browserWorkers.startWorker>[1];
  const ears = { hear: vi.fn(), lost: vi.fn() };
  function fakeWorker(refuse: boolean) {
    const calls: string[] = [];
    class FakeWorker {
      postMessage(): void {
        calls.push('postMessage');
        if (refuse) throw new Error('could not be cloned');
      }
      terminate(): void {
        calls.push('terminate');
      }
    }
    vi.stubGlobal('Worker', FakeWorker);
    return calls;
  }

  test('that cannot be sent what it needs is ended', () => {
    const calls = fakeWorker(true);
    expect(() => browserWorkers.startWorker(script, start, ears)).toThrow('could not be cloned');
    expect(calls).toEqual(['postMessage', 'terminate']);
  });

  test('has ended once its lock is free', async () => {
    const calls = fakeWorker(false);
    let free: () => void = () => {};
    const request = async (_name: string, run: () => void): Promise<void> => {
      await new Promise<void>((resolve) => {
        free = resolve;
      });
      run();
    };
    vi.stubGlobal('navigator', { locks: { request } });
    const end = browserWorkers.startWorker(script, start, ears).end();
    void end.then(() => calls.push('ended'));
    await Promise.resolve();
    expect(calls).toEqual(['postMessage', 'terminate']);
    free();
    await end;
    expect(calls).toEqual(['postMessage', 'terminate', 'ended']);
  });
});

test('a worker that cannot be told to end is no unhandled rejection', async () => {
  const end = async (): Promise<void> => {
    throw new Error('gone already');
  };
  const { pool } = silentPool(1, 0.5, { workers: [{ ...idle, end }] });
  await pool.close('done');
  await pool.ended;
  expect(pool.reason).toBe('done');
});

test('four busy processes on the same cores cost no worker', async () => {
  using rt = await createRuntime({ threads: 2 });
  const busy: ChildProcess[] = [];
  try {
    for (let i = 0; i < 4; i++)
      busy.push(
        spawn(process.execPath, [
          '-e',
          'console.log(1); setTimeout(() => process.exit(), 60000).unref(); for (;;);',
        ]),
      );
    await Promise.all(busy.map((child) => new Promise((resolve) => child.stdout!.once('data', resolve))));
    for (let i = 0; i < 30; i++) {
      const found = rt.scope(() => linear(rt.full([100, 700], 2), rt.full([700, 700], 3)).toArray());
      expect(found.every((value) => value === 4200)).toBe(true);
    }
  } finally {
    for (const child of busy) child.kill('SIGKILL');
  }
  expect(rt.info().threads).toBe(2);
});

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { Pool, type WorkerHandle } from '../../src/engine/pool/pool.js';
import { controlOf, DONE, FAILED, TICKET } from '../../src/engine/pool/protocol.js';
import { startPool } from '../../src/engine/pool/start.js';
import { HOST } from '../../src/engine/pool/threads.js';
import { loadKernels } from '../../src/engine/wasm.js';
import { createRuntime, linear, type Runtime, WorkerError } from '../../src/index.js';

/** The workers of every runtime made here: `ended` is called when a thread is gone. */
const started: { handle: WorkerHandle; ended: Promise<string> }[] = [];
let refuse = '';

vi.mock('../../src/platform/workers.js', async (original) => {
  const platform = await original<typeof import('../../src/platform/workers.js')>();
  const startWorker: typeof platform.startWorker = (name, script, start, { hear, lost }) => {
    if (refuse !== '') throw new Error(refuse);
    let end: (reason: string) => void = () => {};
    const ended = new Promise<string>((resolve) => {
      end = resolve;
    });
    const handle = platform.startWorker(name, script, start, {
      hear,
      lost: (reason) => {
        lost(reason);
        end(reason);
      },
    });
    started.push({ handle, ended });
    return handle;
  };
  return { ...platform, startWorker };
});

beforeEach(() => {
  started.length = 0;
  refuse = '';
});

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** A product that is worth two threads; whole numbers, so that its sums are exact. */
function checkProduct(rt: Runtime): void {
  const found = rt.scope(() => linear(rt.full([200, 300], 2), rt.full([250, 300], 3)).toArray());
  expect(found).toEqual(new Float32Array(200 * 250).fill(1800));
}

test('a share is computed by the worker while the caller is busy, in memory that grew after its start', async () => {
  const loaded = await loadKernels({ level: 'simd', wasm: undefined, maxBytes: 2 ** 26 }, true);
  const { memory } = loaded!;
  const at = memory.buffer.byteLength;
  const busy = (): void => {
    const view = new Float32Array(memory.buffer);
    for (let begin = performance.now(); view[at / 4] !== 7 && performance.now() - begin < 10_000; );
  };
  const pool = await startPool(HOST, { ...loaded!, kernels: { fill: busy } }, 2);
  if (typeof pool === 'string') throw new Error(pool);
  memory.grow(16);
  pool.run(
    'fill',
    [
      [100, 7, at],
      [100, 7, at],
    ],
    0,
    0,
  );
  expect(new Float32Array(memory.buffer, at, 101)).toEqual(new Float32Array(101).fill(7, 0, 100));
  await pool.close('done');
  expect(await started[0]!.ended).toBe('its thread ended');
});

test('dispose ends the workers, and again does nothing', async () => {
  const rt = await createRuntime({ threads: 3 });
  expect(started.length).toBe(2);
  checkProduct(rt);
  rt.dispose();
  rt.dispose();
  expect(await Promise.all(started.map(({ ended }) => ended))).toEqual([
    'its thread ended',
    'its thread ended',
  ]);
  expect(rt.info().threads).toBe(1);
});

test.each([1, 2])(
  'dispose drops the memory of %i threads, whoever holds the runtime still',
  async (threads) => {
    const rt = await createRuntime({ threads });
    const x = rt.zeros([100]);
    checkProduct(rt);
    const memory = new WeakRef(rt.engine.memory);
    rt.dispose();
    started.length = 0;
    while (memory.deref() !== undefined) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      collect();
    }
    x.dispose();
    expect(() => rt.engine.kernels).toThrow('used after dispose()');
  },
);

test('a runtime that is dropped without dispose ends its workers some time later', async () => {
  await (async () => checkProduct(await createRuntime({ threads: 2 })))();
  const ended = started[0]!.ended;
  const timer = setInterval(collect, 20);
  try {
    expect(await ended).toBe('its thread ended');
  } finally {
    clearInterval(timer);
  }
});

test('a worker that dies while idle leaves one thread and says so', async () => {
  using rt = await createRuntime({ threads: 3 });
  checkProduct(rt);
  const dying = started[0]!.handle.end();
  // Not noticed yet: its shares are computed by the others.
  checkProduct(rt);
  await dying;
  await Promise.all(started.map(({ ended }) => ended));
  expect(rt.info()).toMatchObject({ threads: 1, threadsReason: 'worker 1 stopped: its thread ended' });
  checkProduct(rt);
});

test('memory without room for the scratch of every thread is enough for one', async () => {
  using rt = await createRuntime({ threads: 3, maxMemoryMB: 2 });
  checkProduct(rt);
  expect(rt.info().threads).toBe(3);
});

test('workers that cannot start leave one thread and say so', async () => {
  refuse = 'no more threads';
  using rt = await createRuntime({ threads: 2 });
  expect(rt.info()).toMatchObject({
    threads: 1,
    threadsReason: expect.stringMatching(
      /^worker 1 did not start: file:.*worker\.js: no more threads\. Serve lora-wasm\/worker/,
    ),
  });
  checkProduct(rt);
});

test('a kernel that traps is an error once, then one thread', async () => {
  using rt = await createRuntime({ threads: 2 });
  const { pool } = rt.engine.threading;
  const outside = 2 ** 30;
  expect(() =>
    pool!.run(
      'fill',
      [
        [16, 1, outside],
        [16, 1, outside],
      ],
      0,
      0,
    ),
  ).toThrow(/fill|out of bounds/);
  expect(rt.info().threads).toBe(1);
  expect(rt.info().threadsReason).toContain('fill');
  checkProduct(rt);
});

describe('a worker that stops in the middle of a share', () => {
  /** A pool whose one worker runs `script` with the control words; the caller's share lasts until `until` holds, 10 s at most. */
  async function poolOf(
    script: string,
    until: (words: Int32Array) => boolean,
    patience = 300,
  ): Promise<Pool> {
    const control = controlOf();
    const { words } = control;
    const worker = new Worker(
      `const { parentPort, workerData: words } = require('node:worker_threads');
      parentPort.postMessage('ready'); Atomics.wait(words, ${TICKET}, 0); ${script}`,
      { eval: true, workerData: words },
    );
    await new Promise((resolve) => worker.once('message', resolve));
    const end = async (): Promise<void> => void (await worker.terminate());
    const slow = (): void => {
      const begin = Date.now();
      while (!until(words) && Date.now() - begin < 10_000) Atomics.wait(words, TICKET, 0, 1);
    };
    const workers = [{ release: () => worker.unref(), end }];
    return new Pool({ kernels: { slow }, names: ['slow'], control, workers, mayBlock: true, patience });
  }
  const claimed = (words: Int32Array): boolean => (words[TICKET]! & 255) === 2;

  test('without a word: the wait ends', async () => {
    const pool = await poolOf(`Atomics.add(words, ${TICKET}, 1);`, claimed);
    const begin = performance.now();
    expect(() => pool.run('slow', [[1], [2]], 0, 0)).toThrow(
      new WorkerError(
        'Runtime: a worker stopped in the middle of slow: no answer in 300 ms; the result is lost, later work runs on one thread',
      ),
    );
    expect(performance.now() - begin).toBeLessThan(8000);
    expect(pool.threads).toBe(1);
    expect(pool.worth(1e12)).toBe(false);
  });

  test('or only seems to, since the process was halted for a minute: the wait goes on', async () => {
    const script = `Atomics.add(words, ${TICKET}, 1); Atomics.wait(words, ${FAILED}, 0, 50);
      Atomics.add(words, ${DONE}, 1); Atomics.notify(words, ${DONE});`;
    const pool = await poolOf(script, claimed, 30_000);
    const clock = performance.now.bind(performance);
    let looks = 0;
    const now = vi.spyOn(performance, 'now').mockImplementation(() => clock() + (looks++ > 0 ? 60_000 : 0));
    pool.run('slow', [[1], [2]], 0, 0);
    now.mockRestore();
    expect(looks).toBeGreaterThan(0);
    expect(pool.threads).toBe(2);
    await pool.close('done');
  });

  test('by a trap: told at once', async () => {
    const script = `Atomics.add(words, ${TICKET}, 1); Atomics.store(words, ${FAILED}, 2);`;
    const pool = await poolOf(script, claimed);
    expect(() => pool.run('slow', [[1], [2]], 0, 0)).toThrow('in the middle of slow: its kernel failed');
    expect(pool.reason).toContain('its kernel failed');
  });

  test('before it claims: the caller computes all', async () => {
    const pool = await poolOf('', () => true);
    pool.run('slow', [[1], [2], [3]], 0, 0);
    expect(pool.threads).toBe(2);
    await pool.close('done');
  });
});

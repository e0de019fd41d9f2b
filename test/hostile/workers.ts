/** Workers that are killed, kept from their cores or halted: what the caller waits, and that later work is right. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Kernels } from '../../src/engine/abi.js';
import { Engine } from '../../src/engine/engine.js';
import { startPool } from '../../src/engine/pool/start.js';
import { HOST } from '../../src/engine/pool/threads.js';
import { loadKernels } from '../../src/engine/wasm.js';
import { createRuntime, linear, WorkerError } from '../../src/index.js';
import { Runtime } from '../../src/tensor/runtime.js';
import { milliseconds, type Row, type Section, said, type Work } from './section.js';

/** The patience of a pool in ms, and what the machine may add. */
const PATIENCE = 5000;
const SLACK = 3000;

/** A product of whole numbers, exact: 6·K everywhere. */
function product(rt: Runtime, M: number, N: number, K: number): void {
  rt.scope(() => {
    const wrong = linear(rt.full([M, K], 2), rt.full([N, K], 3))
      .toArray()
      .find((value) => value !== 6 * K);
    if (wrong !== undefined) throw new Error(`${M}x${N}x${K} gave ${wrong}, expected ${6 * K}`);
  });
}

/** A runtime of two threads whose worker can be ended while the caller computes its own share. */
async function mortalRuntime(): Promise<{ rt: Runtime; kill: (after: number) => void }> {
  const loaded = (await loadKernels({ level: 'auto', wasm: undefined, maxBytes: null }, true))!;
  let wait = -1;
  const mortal = new Proxy(
    {},
    {
      get(_, name) {
        const kernel = loaded.kernels[name as keyof Kernels] as (...values: number[]) => unknown;
        if (wait < 0) return kernel;
        return (...values: number[]) => {
          for (const begin = performance.now(); performance.now() - begin < wait; );
          wait = -1;
          if (typeof pool !== 'string') void pool.close('killed');
          return kernel(...values);
        };
      },
    },
  );
  const pool = await startPool(HOST, { ...loaded, kernels: mortal }, 2);
  if (typeof pool === 'string') throw new Error(pool);
  const rt = new Runtime(new Engine(loaded, 0, { pool, reason: 'two threads' }));
  return {
    rt,
    kill: (after) => {
      wait = after;
    },
  };
}

/** Ends the worker a third into its share, and measures how long the call takes then. Null where the worker had not begun. */
async function kill(size: number): Promise<{ normal: number; freeze: number } | null> {
  const { rt, kill } = await mortalRuntime();
  using _ = rt;
  const time = (): number => {
    const begin = performance.now();
    product(rt, size, size, size);
    return performance.now() - begin;
  };
  for (let i = 0; i < 3; i++) time();
  const normal = time();
  kill(normal / 3);
  const begin = performance.now();
  try {
    product(rt, size, size, size);
  } catch (error) {
    if (!(error instanceof WorkerError)) throw error;
    const freeze = performance.now() - begin;
    product(rt, 100, 200, 300);
    return { normal, freeze };
  }
  return null;
}

async function killed({ more }: Work): Promise<Row> {
  const faults: string[] = [];
  let [tried, hit, worst, ratio] = [0, 0, 0, 0];
  for (const size of [256, 512, 1024, 1536]) {
    if (tried > 0 && !more()) break;
    tried++;
    try {
      const found = await kill(size);
      if (found === null) continue;
      const { normal, freeze } = found;
      hit++;
      worst = Math.max(worst, freeze);
      ratio = Math.max(ratio, Math.max(0, freeze - PATIENCE) / normal);
      const limit = PATIENCE + 12 * normal + SLACK;
      if (freeze > limit)
        faults.push(`${size}³: ${milliseconds(freeze)}, expected at most ${milliseconds(limit)}`);
    } catch (error) {
      faults.push(`${size}³: ${said(error)}`);
    }
  }
  if (hit === 0) faults.push('no worker was in the middle of its share when it was killed');
  return {
    what: 'a worker killed in mid-product',
    tried: `${hit} products of 256³ to 1536³`,
    faults,
    worst: `${milliseconds(worst)} until the error; beyond the 5 s, ${ratio.toFixed(1)} times the product`,
  };
}

async function busy({ more, random }: Work): Promise<Row> {
  const faults: string[] = [];
  const children: ChildProcess[] = [];
  let [tried, worst] = [0, 0];
  using rt = await createRuntime({ threads: 2 });
  try {
    for (let i = 0; i < 4; i++)
      children.push(
        spawn(process.execPath, ['-e', 'console.log(1); for (;;);'], { stdio: ['ignore', 'pipe', 'ignore'] }),
      );
    await Promise.all(children.map((child) => once(child.stdout!, 'data')));
    do {
      const begin = performance.now();
      product(rt, random.integer(20, 700), random.integer(20, 700), random.integer(20, 700));
      worst = Math.max(worst, performance.now() - begin);
      tried++;
    } while (more());
  } catch (error) {
    faults.push(said(error));
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
  if (rt.info().threads !== 2) faults.push(rt.info().threadsReason);
  return {
    what: 'four busy processes beside two threads',
    tried: `${tried} products`,
    faults,
    worst: `${milliseconds(worst)} for a product`,
  };
}

/** A process over the built package is halted for longer than the patience, in the middle of its products. */
async function halted(): Promise<Row> {
  const entry = new URL('../../dist/index.js', import.meta.url).href;
  const script = `import { createRuntime, linear } from '${entry}';
    const rt = await createRuntime({ threads: 2 });
    console.log('begun');
    const end = Date.now() + 9000;
    let count = 0;
    while (Date.now() < end) rt.scope(() => { linear(rt.full([300, 700], 2), rt.full([700, 700], 3)); count++; });
    console.log(rt.info().threads, rt.info().threadsReason, count);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (data) => {
    output += String(data);
  });
  child.stderr.on('data', (data) => {
    output += String(data);
  });
  const ended = once(child, 'exit');
  await once(child.stdout, 'data');
  child.kill('SIGSTOP');
  await new Promise((resolve) => setTimeout(resolve, PATIENCE + 1500));
  child.kill('SIGCONT');
  await ended;
  const right = /^begun\n2 asked for by threads: 2 \d+\n$/.test(output);
  return {
    what: 'a process halted in mid-product',
    tried: 'one, for 6.5 s',
    faults: right ? [] : [output.slice(0, 300)],
    worst: right ? 'two threads as before' : 'see above',
  };
}

export const workers: Section = {
  name: 'killed, busy and halted workers',
  share: 0.15,
  async run(work): Promise<Row[]> {
    const end = performance.now() + work.time / 3;
    const beside = await busy({ ...work, more: () => performance.now() < end });
    return [await killed(work), await halted(), beside];
  },
};

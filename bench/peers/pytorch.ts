/** Native PyTorch with PEFT, in a Python of its own that times its calls by its own clock. Node only. */
import { LEARNING_RATE, type Operation, type Prepared, type Problem, type Results } from '../core/problem.js';
import { startPython } from '../core/python.js';
import type { Loader, Peer } from './peer.js';

type Ask = (what: string, id: number, more?: object) => Promise<unknown>;

const encoded = (data: Float32Array): string =>
  Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64');

function decoded(text: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer);
}

export const loadPytorch: Loader = async ({ threads, python }): Promise<Peer> => {
  if (python === null) throw new Error('no Python was given: --python PATH');
  const script = new URL('./pytorch.py', import.meta.url);
  const started = await startPython<{ version: string; threads: number }>(python, script, [String(threads)]);
  const { hello } = started;
  const ask: Ask = (what, id, more = {}) => started.ask({ ask: what, id, ...more });
  let next = 0;
  return {
    name: 'pytorch+peft',
    version: hello.version,
    settings: 'native, eager, fused AdamW',
    kernels: 'native',
    threads: hello.threads,
    lacks: {},
    prepare: (operation, problem) => prepare(ask, next++, operation, problem),
  };
};

async function prepare(ask: Ask, id: number, operation: Operation, problem: Problem): Promise<Prepared> {
  const { M, N, K, x, w, bias, target, low } = problem;
  const data = { x, w, bias, target, a: low.a, b: low.b };
  const texts = Object.fromEntries(Object.entries(data).map(([name, values]) => [name, encoded(values)]));
  const sizes = { M, N, K, r: low.r, scaling: low.scaling, rate: LEARNING_RATE };
  await ask('prepare', id, { problem: { operation, ...sizes, ...texts } });
  return {
    run: () => ask('run', id),
    read: async () => {
      const answer = (await ask('read', id)) as Record<string, string>;
      const arrays = Object.entries(answer).map(([name, text]) => [name, decoded(text)]);
      return Object.fromEntries(arrays) as Results;
    },
    ...(operation === 'LoRA training step' && { loss: () => ask('loss', id) as Promise<number> }),
    time: (ms) => ask('time', id, { ms }) as Promise<number>,
    dispose: () => void ask('dispose', id),
  };
}

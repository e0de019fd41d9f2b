/** Native PyTorch with PEFT, in a Python of its own that times its calls by its own clock. Node only. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { LEARNING_RATE, type Operation, type Prepared, type Problem, type Results } from '../core/problem.js';
import type { Loader, Peer } from './peer.js';

type Ask = (what: string, id: number, more?: object) => Promise<unknown>;

const encoded = (data: Float32Array): string =>
  Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64');

function decoded(text: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer);
}

export const loadPytorch: Loader = async ({ threads, python }): Promise<Peer> => {
  if (python === null) throw new Error('no Python was given: --python PATH');
  const { hello, ask } = await startPython(python, threads);
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

/** The script's greeting and a way to ask it, one question at a time. @throws Error when it ends */
async function startPython(
  python: string,
  threads: number,
): Promise<{ hello: { version: string; threads: number }; ask: Ask }> {
  const script = fileURLToPath(new URL('./pytorch.py', import.meta.url));
  const child = spawn(python, [script, String(threads)], { stdio: ['pipe', 'pipe', 'pipe'] });
  let complaints = '';
  child.stderr.on('data', (text: Buffer) => {
    complaints = (complaints + text.toString()).slice(-2000);
  });
  child.stdin.on('error', () => {});
  // It must not keep the benchmark alive; its stdin closes with us.
  child.unref();
  const ended = new Promise<never>((_, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => {
      const last = complaints.trim().split('\n').at(-1) ?? '';
      reject(new Error(`pytorch.py ended with ${code}: ${last}`));
    });
  });
  ended.catch(() => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<unknown> => {
    const { value, done } = await Promise.race([lines.next(), ended]);
    return done === true ? ended : JSON.parse(value);
  };
  const hello = (await answer()) as { version: string; threads: number };
  const ask: Ask = async (what, id, more = {}) => {
    child.stdin.write(`${JSON.stringify({ ask: what, id, ...more })}\n`);
    return ((await answer()) as { answer: unknown }).answer;
  };
  return { hello, ask };
}

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

/** A host in a child process of this Node: the child's side answers calls by message, the parent's side asks them. */
import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildNaive } from '../core/compile.js';
import { CONTESTANTS, PYTORCH } from './contestants.js';
import { type Host, LocalHost, reasonOf } from './host.js';

interface Call {
  readonly method: keyof Host;
  readonly args: unknown[];
}

type Answer = { readonly value: unknown } | { readonly error: string };

export interface Remote {
  readonly host: Host;
  close(): Promise<void>;
}

const SELF = fileURLToPath(import.meta.url);

/** Starts a child. `python` is for PyTorch, or null. */
export function startNodeHost(python: string | null): Remote {
  const env = { ...process.env, BENCH_PYTHON: python ?? '' };
  const child = fork(SELF, [], {
    env,
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let complaints = '';
  child.stderr!.on('data', (text: Buffer) => {
    complaints = (complaints + text.toString()).slice(-2000);
  });
  const call = (method: keyof Host, args: unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const ended = (code: number | null): void =>
        reject(new Error(`the process of the peers ended with ${code}: ${complaints.trim().slice(-300)}`));
      child.once('exit', ended);
      child.once('message', (answer: Answer) => {
        child.off('exit', ended);
        if ('error' in answer) reject(new Error(answer.error));
        else resolve(answer.value);
      });
      child.send({ method, args } satisfies Call);
    });
  return { host: hostOver(call), close: async () => void child.kill() };
}

/** A Host whose methods are calls by name. */
export function hostOver(call: (method: keyof Host, args: unknown[]) => Promise<unknown>): Host {
  return {
    load: (...args) => call('load', args) as ReturnType<Host['load']>,
    prepare: (...args) => call('prepare', args) as ReturnType<Host['prepare']>,
    round: (...args) => call('round', args) as ReturnType<Host['round']>,
    clear: () => call('clear', []) as Promise<void>,
  };
}

/** The child's side. */
function serve(): void {
  const filesOf = (name: string): string =>
    fileURLToPath(new URL(`./node_modules/${name}/dist/`, import.meta.url));
  const { BENCH_PYTHON = '' } = process.env;
  const python = existsSync(BENCH_PYTHON) ? BENCH_PYTHON : null;
  const contestants = { ...CONTESTANTS, [PYTORCH]: async () => (await import('./pytorch.js')).loadPytorch };
  const host = new LocalHost(contestants, async (threads) => ({
    threads,
    filesOf,
    naive: await buildNaive(),
    python,
  }));
  process.on('message', async ({ method, args }: Call) => {
    try {
      const value = await (host[method] as (...all: unknown[]) => Promise<unknown>)(...args);
      process.send!({ value: value ?? null } satisfies Answer);
    } catch (error) {
      process.send!({ error: reasonOf(error) } satisfies Answer);
    }
  });
}

if (process.argv[1] === SELF && process.send !== undefined) serve();

/** A process of this Node that answers calls by name, as a page does: the parent's side, and the child's. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** A process or a page: calls and answers are plain values. */
export interface Remote {
  ask<Answer>(name: string, args: readonly unknown[]): Promise<Answer>;
  close(): Promise<void>;
}

/** What can be asked, by name. */
export type Calls = Readonly<Record<string, (...args: never[]) => unknown>>;

type Reply = { readonly value: unknown } | { readonly error: string };

/** Starts a script, which is to call `answerParent`; one call at a time. */
export function startChild(script: URL, variables: Readonly<Record<string, string>> = {}): Remote {
  const child = fork(fileURLToPath(script), [], {
    env: { ...process.env, ...variables },
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let complaints = '';
  child.stderr!.on('data', (text: Buffer) => {
    complaints = (complaints + text.toString()).slice(-2000);
  });
  const ask = <Answer>(name: string, args: readonly unknown[]): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const ended = (code: number | null): void =>
        reject(new Error(`${name}: the process ended with ${code}: ${complaints.trim().slice(-300)}`));
      child.once('exit', ended);
      child.once('message', (reply: Reply) => {
        child.off('exit', ended);
        if ('error' in reply) reject(new Error(reply.error));
        else resolve(reply.value as Answer);
      });
      child.send({ name, args });
    });
  return { ask, close: async () => void child.kill() };
}

/** The child's side. */
export function answerParent(calls: Calls): void {
  process.on('message', async ({ name, args }: { name: string; args: never[] }) => {
    const reply = async (): Promise<Reply> => {
      try {
        return { value: (await calls[name]!(...args)) ?? null };
      } catch (error) {
        return { error: error instanceof Error ? error.message : String(error) };
      }
    };
    process.send!(await reply());
  });
}

/** A Python of its own that is asked line by line in JSON: the peers' PyTorch, and that of the language model. Node only. */
import { spawn } from 'node:child_process';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Python<Hello> {
  /** What it says first. */
  readonly hello: Hello;
  /** One question at a time. @throws Error when it ends */
  ask(question: object): Promise<unknown>;
  close(): void;
}

/** @throws Error when it ends before it says anything */
export async function startPython<Hello>(
  python: string,
  script: URL,
  args: readonly string[],
): Promise<Python<Hello>> {
  const path = fileURLToPath(script);
  const child = spawn(python, [path, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
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
      reject(new Error(`${basename(path)} ended with ${code}: ${last}`));
    });
  });
  ended.catch(() => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<unknown> => {
    const { value, done } = await Promise.race([lines.next(), ended]);
    return done === true ? ended : JSON.parse(value);
  };
  return {
    hello: (await answer()) as Hello,
    ask: async (question) => {
      child.stdin.write(`${JSON.stringify(question)}\n`);
      return ((await answer()) as { answer: unknown }).answer;
    },
    close: () => void child.kill(),
  };
}

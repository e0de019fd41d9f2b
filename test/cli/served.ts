/**
 * The built command in one process that stays: what starts and loads it takes longer than most of what it does. Each run is a
 * new evaluation of its main module, as a start is; what that imports is kept. And as a user starts it, in a process of its own.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** What a command printed, and its exit code. */
export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** As a user starts it. */
export function started(cwd: string, args: readonly string[]): Ran {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { cwd, encoding: 'utf8' });
  return { status, stdout, stderr };
}

/** Runs in the child, as text: the tests' loader is not there. */
const SERVE = `
// As of a process that was started with a file: commander counts arguments by it.
process.execArgv = [];
let runs = 0;
process.on('message', async ({ main, args }) => {
  const printed = { stdout: '', stderr: '' };
  const streams = ['stdout', 'stderr'].map((name) => [process[name], process[name].write, name]);
  for (const [stream, , name] of streams) stream.write = (text) => { printed[name] += text; return true; };
  process.argv = [process.execPath, main.path, ...args];
  process.exitCode = undefined;
  await import(main.href + '?' + runs++);
  for (const [stream, write] of streams) stream.write = write;
  process.send({ status: process.exitCode ?? 0, ...printed });
});
process.on('disconnect', () => process.exit());
`;

export class ServedCommand {
  readonly #child: ChildProcess;
  readonly #ended: Promise<never>;

  constructor(cwd: string) {
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const;
    this.#child = spawn(process.execPath, ['--input-type=module', '--eval', SERVE], {
      cwd,
      stdio: [...stdio],
    });
    this.#ended = new Promise((_, reject) => {
      this.#child.once('exit', (code) =>
        reject(new Error(`the command ended its process with ${code}, expected an exit code that is set`)),
      );
    });
    // That it is stopped at the end is no fault.
    this.#ended.catch(() => {});
  }

  /** @throws Error where the command ended its process, as nothing that it does may */
  async run(args: readonly string[]): Promise<Ran> {
    this.#child.send({ main: { path: MAIN, href: pathToFileURL(MAIN).href }, args });
    const answer = new Promise<Ran>((resolve) => {
      this.#child.once('message', (ran: Ran) => resolve(ran));
    });
    return Promise.race([answer, this.#ended]);
  }

  stop(): void {
    this.#child.kill();
  }
}

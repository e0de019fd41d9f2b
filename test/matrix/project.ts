/**
 * A project of somebody's, outside of this repository so that nothing of it is found by chance: the packed tarball and the
 * pinned tools installed by npm, and the program's files. It stays between runs, so that only what changed is installed.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PINS: Record<string, string> = JSON.parse(
  readFileSync(new URL('./tools/package.json', import.meta.url), 'utf8'),
).dependencies;

/** Where the projects lie: one folder a clone. */
export const PROJECTS = join(
  tmpdir(),
  `lora-wasm-matrix-${createHash('sha256').update(ROOT).digest('hex').slice(0, 8)}`,
);

/** A tool that npm does not install here: its row is skipped. */
export class NotInstalled extends Error {}

/** The version that a tool is pinned to. */
export function version(tool: string): string {
  const pin = PINS[tool];
  if (pin === undefined) throw new Error(`test/matrix/tools/package.json has no ${tool}`);
  return pin.slice(pin.lastIndexOf('@') + 1);
}

/** No tool counts its users or asks for a newer version. */
const QUIET = {
  CI: '1',
  NO_COLOR: '1',
  NEXT_TELEMETRY_DISABLED: '1',
  DO_NOT_TRACK: '1',
  DENO_NO_UPDATE_CHECK: '1',
};

const run = promisify(execFile);
const LIMIT = 64 * 2 ** 20;

/** Packs the package as npm publishes it. The name changes with what is in it, so that npm installs it anew. */
export async function pack(): Promise<string> {
  mkdirSync(PROJECTS, { recursive: true });
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', PROJECTS];
  const { stdout } = await run('npm', args, { cwd: ROOT, maxBuffer: LIMIT });
  const [packed] = JSON.parse(stdout) as [{ filename: string; shasum: string }];
  const tarball = join(PROJECTS, `lora-wasm-${packed.shasum.slice(0, 12)}.tgz`);
  renameSync(join(PROJECTS, packed.filename), tarball);
  return tarball;
}

const KEPT = ['node_modules', 'package.json', 'package-lock.json', '.installed.json'];

export interface ProjectOptions {
  /** Names in `tools/package.json`. */
  readonly tools?: readonly string[];
  readonly files: ReadonlyMap<string, string>;
  /** `module` unless the tool is one of CommonJS. */
  readonly type?: 'module' | 'commonjs';
}

/** Makes the project anew but for what npm installed. @throws NotInstalled with npm's reason */
export async function makeProject(name: string, tarball: string, options: ProjectOptions): Promise<string> {
  const folder = join(PROJECTS, name);
  mkdirSync(folder, { recursive: true });
  const { tools = [], files, type = 'module' } = options;
  const dependencies: Record<string, string> = { 'lora-wasm': `file:${tarball}` };
  for (const tool of tools) {
    version(tool);
    dependencies[tool] = PINS[tool]!;
  }
  const manifest = JSON.stringify({ name: 'somebody', private: true, type, dependencies }, null, 2);
  await install(folder, manifest);
  clear(folder);
  for (const [path, text] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

/** Takes away what an earlier run wrote, built or cached. */
function clear(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (!KEPT.includes(name)) rmSync(join(folder, name), { recursive: true, force: true });
  }
  for (const cache of ['.vite', '.cache'])
    rmSync(join(folder, 'node_modules', cache), { recursive: true, force: true });
}

async function install(folder: string, manifest: string): Promise<void> {
  const path = join(folder, 'package.json');
  const installed = join(folder, '.installed.json');
  if (existsSync(installed) && readFileSync(installed, 'utf8') === manifest) return;
  rmSync(installed, { force: true });
  rmSync(join(folder, 'package-lock.json'), { force: true });
  writeFileSync(path, manifest);
  // Scripts would fetch what a platform's package holds already.
  const args = [
    'install',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--prefer-offline',
    '--install-links',
  ];
  try {
    await run('npm', args, { cwd: folder, maxBuffer: LIMIT });
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string };
    throw new NotInstalled(`npm install: ${stderr.trim().split('\n').slice(0, 3).join(' ')}`);
  }
  writeFileSync(installed, manifest);
}

/** Runs a program of the project to its end and returns what it printed. @throws Error with all that it printed */
export async function command(
  folder: string,
  file: string,
  args: readonly string[],
  env = {},
): Promise<string> {
  try {
    const { stdout } = await run(file, args, {
      cwd: folder,
      env: { ...process.env, ...QUIET, ...env },
      maxBuffer: LIMIT,
      timeout: 300_000,
    });
    return stdout;
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as Error & { stdout?: string; stderr?: string };
    throw new Error(`${message.split('\n')[0]}\n${stdout}\n${stderr}`);
  }
}

export interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts a server of the project and waits until its port answers. @throws Error with what it printed */
export async function startServer(
  folder: string,
  file: string,
  args: readonly string[],
  port: number,
): Promise<Server> {
  const child = spawn(file, args, {
    cwd: folder,
    env: { ...process.env, ...QUIET },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (printed += data));
  const url = `http://localhost:${port}/`;
  const stop = () => end(child);
  for (let i = 0; i < 600; i++) {
    if (child.exitCode !== null) throw new Error(`${file} ${args.join(' ')} ended: ${printed}`);
    if (await answers(url)) return { url, stop };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await stop();
  throw new Error(`${file} ${args.join(' ')} does not answer at ${url}: ${printed}`);
}

async function answers(url: string): Promise<boolean> {
  try {
    await (await fetch(url)).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/** Ends a server with the processes that it started. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.pid === undefined) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  try {
    process.kill(-child.pid, 'SIGTERM');
  } catch {
    return;
  }
  const timer = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), 5_000);
  await ended;
  clearTimeout(timer);
}

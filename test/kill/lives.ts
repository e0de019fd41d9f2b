/**
 * Kills a job at random moments, half of them inside a save, until it was killed so often, and compares what it ends in with a
 * run that nothing disturbed. For `npm run test:kill` and, five times, for the tests.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const JOB = fileURLToPath(new URL('job.mjs', import.meta.url));
/** Kills of one run of the job before it is left to end. */
const KILLS_OF_A_RUN = 8;
/** Calls to the file system of about three saves. */
const OPERATIONS = 90;

/** What came of it. */
export interface Tally {
  readonly kills: number;
  /** Those at a call to the file system, in the middle of a save. */
  readonly insideSave: number;
  /** Lives that went on from a checkpoint. */
  readonly resumes: number;
  /** Runs that ended, and what of them was not as it should be, in words. */
  readonly runs: number;
  readonly differences: readonly string[];
}

/** How one life of the job ended. */
interface Life {
  readonly killed: boolean;
  readonly output: string;
  readonly errors: string;
  /** Milliseconds from when it was ready. */
  readonly duration: number;
}

/** @param random - numbers from 0 up to 1 */
export async function killJobs(times: number, random: () => number): Promise<Tally> {
  const root = await mkdtemp(join(tmpdir(), 'lora-wasm-kill-'));
  const tally = { kills: 0, insideSave: 0, resumes: 0, runs: 0, differences: [] as string[] };
  try {
    const calm = join(root, 'calm');
    const whole = await live(calm, { operation: -1, threads: 1, delay: null });
    const { duration } = whole;
    if (whole.killed || !whole.output.endsWith('done\n'))
      throw new Error(`test:kill: the job failed\n${whole.errors}`);
    const wanted = await contents(calm);
    while (tally.kills < times) {
      const folder = join(root, `run-${tally.runs}`);
      await runOnce(folder, times, { random, duration }, tally);
      tally.differences.push(...differences(`run ${tally.runs}`, await contents(folder), wanted));
      tally.runs++;
      await rm(folder, { recursive: true, force: true });
    }
    return tally;
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** Kills one run some times and lets it end then. */
async function runOnce(
  folder: string,
  times: number,
  { random, duration }: { readonly random: () => number; readonly duration: number },
  tally: { kills: number; insideSave: number; resumes: number; readonly differences: string[] },
): Promise<void> {
  for (let kills = 0; ; ) {
    const last = kills >= KILLS_OF_A_RUN || tally.kills >= times;
    const inside = tally.insideSave * 2 <= tally.kills;
    const had = (await contents(folder)).size > 0;
    const life = await live(folder, {
      operation: !last && inside ? Math.floor(random() * OPERATIONS) : -1,
      threads: 1 + Math.floor(random() * 2),
      delay: !last && !inside ? random() * duration : null,
    });
    if (had && /^(?:step|eval|checkpoint|done)/m.test(life.output)) tally.resumes++;
    if (had && /^step 1$/m.test(life.output)) tally.differences.push('a life began anew beside a checkpoint');
    if (!life.killed) {
      if (!life.output.endsWith('done\n')) tally.differences.push(`a life failed: ${life.errors}`);
      return;
    }
    kills++;
    tally.kills++;
    if (inside) tally.insideSave++;
  }
}

/** One life of the job. @param delay - milliseconds from when it is ready until it is killed, null for never */
function live(
  folder: string,
  {
    operation,
    threads,
    delay,
  }: { readonly operation: number; readonly threads: number; readonly delay: number | null },
): Promise<Life> {
  const child = spawn(process.execPath, [JOB, folder, String(operation), String(threads)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let begin = 0;
  let timer: ReturnType<typeof setTimeout> | null = null;
  let [output, errors] = ['', ''];
  child.stdout.on('data', (bytes) => {
    if (output === '') {
      // It is ready: from here on it can be killed.
      begin = performance.now();
      if (delay !== null) timer = setTimeout(() => child.kill('SIGKILL'), delay);
    }
    output += String(bytes);
  });
  child.stderr.on('data', (bytes) => {
    errors += String(bytes);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (_code, signal) => {
      if (timer !== null) clearTimeout(timer);
      resolve({ killed: signal === 'SIGKILL', output, errors, duration: performance.now() - begin });
    });
  });
}

/** What a folder holds under names of checkpoints, the content of each file as text; empty where it is not there. */
async function contents(folder: string): Promise<Map<string, string>> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = names.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  const found = new Map<string, string>();
  for (const file of files.sort()) {
    const path = file.slice(folder.length + 1);
    if (path.startsWith('step-')) found.set(path, (await readFile(file)).toString('base64'));
  }
  return found;
}

/** What differs, by file. */
function differences(
  run: string,
  found: ReadonlyMap<string, string>,
  wanted: ReadonlyMap<string, string>,
): string[] {
  const names = [...new Set([...found.keys(), ...wanted.keys()])];
  return names
    .filter((name) => found.get(name) !== wanted.get(name))
    .map(
      (name) =>
        `${run}: ${name} ${found.has(name) ? (wanted.has(name) ? 'differs' : 'is one too many') : 'is missing'}`,
    );
}

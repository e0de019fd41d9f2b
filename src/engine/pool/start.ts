/**
 * The start of a pool's workers. A file that a page reads when it has asked for threads, by `packaged.ts`: nothing imports it
 * otherwise, and it imports nothing that the page has loaded at its start.
 */
import type { Platform, WorkerScript } from '../../platform/index.js';
import { startWorker, workersObstacle } from '../../platform/workers.js';
import { packagedWorkers } from '../packaged-workers.js';
import { endAll, Pool, type WorkerHandle } from './pool.js';
import { controlOf, kernelNames, type WorkerMessage, type WorkerStart } from './protocol.js';

/** Milliseconds that the workers may take to start. */
const START_LIMIT = 15_000;

/** What the page has loaded already: `HOST` of `threads.ts`. */
export interface PoolHost {
  readonly platform: Platform['name'];
  readonly messageOf: (error: unknown) => string;
  readonly mayBlock: () => boolean;
}

/** What the workers compute with. */
export interface PoolSource {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly kernels: object;
  /** As `PoolParts.patience`; for tests. */
  readonly patience?: number;
}

/** Starts the workers and waits until each is ready. @returns a pool, or why there is none */
export async function startPool(
  host: PoolHost,
  source: PoolSource,
  threads: number,
  script: WorkerScript | null = null,
): Promise<Pool | string> {
  const { platform, mayBlock } = host;
  const obstacle = await workersObstacle(platform, threads - 1);
  if (obstacle !== null) return obstacle;
  // The caller's own and no other, or the package's, one after the other.
  const scripts = script === null ? packagedWorkers(platform) : [script];
  const control = controlOf();
  let pool: Pool | null = null;
  const team: Team = { host, workers: [], over: false, lost: () => {} };
  const { workers } = team;
  const stopped = new Promise<string>((resolve) => {
    team.lost = (reason) => {
      resolve(reason);
      void pool?.close(reason);
    };
  });
  const ready = Array.from({ length: threads - 1 }, (_, i) => {
    const { module, memory } = source;
    const start: WorkerStart = { module, memory, control: control.words.buffer, participant: i + 1 };
    return startOne(scripts, start, team);
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`the workers were not ready in ${START_LIMIT} ms`), START_LIMIT);
  });
  const reason = await Promise.race([Promise.all(ready).then(() => null), stopped, late]);
  clearTimeout(timer);
  if (reason !== null) {
    team.over = true;
    void endAll(workers.flat());
    return reason;
  }
  for (const worker of workers) worker.release();
  const names = kernelNames(source.module);
  const kernels = source.kernels as Readonly<Record<string, (...values: number[]) => unknown>>;
  const { patience } = source;
  pool = new Pool({ kernels, names, control, workers, mayBlock: mayBlock(), patience });
  return pool;
}

/** What the starts of a pool's workers share. */
interface Team {
  readonly host: PoolHost;
  readonly workers: WorkerHandle[];
  /** Whether the pool was given up: nobody starts from here on. */
  over: boolean;
  /** Called when a worker does not start, and when one stops later. */
  lost: (reason: string) => void;
}

/** Starts one worker by the first script that runs. @returns when it is ready; never where it is lost */
async function startOne(scripts: readonly WorkerScript[], start: WorkerStart, team: Team): Promise<void> {
  const { platform, messageOf } = team.host;
  const failures: string[] = [];
  const at = start.participant - 1;
  const who = `worker ${start.participant}`;
  for (const script of scripts) {
    if (team.over) break;
    const failed = await new Promise<string | null>((resolve) => {
      let ready = false;
      const lost = (reason: string): void => {
        if (ready) team.lost(`${who} stopped: ${reason}`);
        else resolve(reason);
      };
      const hear = (message: WorkerMessage): void => {
        if ('failed' in message) lost(message.failed);
        else {
          ready = true;
          resolve(null);
        }
      };
      try {
        team.workers[at] = startWorker(platform, script, start, { hear, lost });
      } catch (error) {
        resolve(messageOf(error));
      }
    });
    if (failed === null) return;
    void endAll(team.workers.slice(at, at + 1));
    failures.push(`${nameOf(script)}: ${failed}`);
  }
  team.lost(`${who} did not start: ${failures.join('; ')}. ${remedy(platform)}`);
  await new Promise<never>(() => {});
}

/** A script in the words of a reason. */
function nameOf(script: WorkerScript): string {
  if ('text' in script) return 'its text';
  return 'url' in script ? script.url.href : script.name;
}

/** What helps where no script of a worker runs. */
function remedy(platform: Platform['name']): string {
  const header =
    platform === 'browser'
      ? ' with the header Cross-Origin-Embedder-Policy: require-corp, allow it by worker-src of a Content-Security-Policy,'
      : '';
  return `Serve lora-wasm/worker${header} and give createRuntime({ worker }) its place, see docs/bundlers.md`;
}

/**
 * The caller's side of the pool: writes a job, computes shares of it like the workers do, and waits for the rest. A worker
 * that is late or gone takes no share, and the caller computes it; only one that stops in the middle of a share loses a
 * result. Then the job is a WorkerError, and from there on the runtime computes on one thread. Called by `sharing.ts`.
 */
import {
  ARGUMENTS,
  ASLEEP,
  argumentsOf,
  type Control,
  claim,
  DONE,
  FAILED,
  KERNEL,
  MOST_SHARES,
  SCRATCH,
  TICKET,
  ticketOf,
} from './protocol.js';
import { Speed } from './speed.js';
import { WorkerError } from './worker-error.js';

/** A running worker, as the platform gives it. */
export interface WorkerHandle {
  /** From here on the worker keeps no process alive. */
  release(): void;
  /** Ends the worker, also in the middle of a kernel. @returns when its thread is gone and writes no more */
  end(): Promise<void>;
}

/** What a pool is made of. */
export interface PoolParts {
  /** The caller's own kernels, and the order that numbers them. */
  readonly kernels: Readonly<Record<string, (...values: number[]) => unknown>>;
  readonly names: readonly string[];
  readonly control: Control;
  readonly workers: readonly WorkerHandle[];
  /** Whether this thread may sleep; a page's main thread may not, and looks until the others are done. */
  readonly mayBlock: boolean;
  /** Milliseconds that a worker may be late beside those its work explains. Default 5000. */
  readonly patience?: number | undefined;
}

/** Looks at the count of done shares before sleep: shares of equal size end at nearly the same time. */
const LOOKS = 4000;
/** Floating-point operations from which two threads beat one: workers that are awake, or asleep. docs/architecture.md has the measurement. */
const WORTH_SHARING = 5e5;
const WORTH_WAKING = 5e6;
/** Times as long as the caller's own share that a worker's may take: other programs may hold its core. */
const TIMES = 10;
/** Milliseconds of sleep between two looks. */
const NAP = 100;
/**
 * Milliseconds that a look counts for at most, with a nap and without: of more the caller itself did not run. Other programs had
 * its core, or the process was halted (Ctrl-Z, a closed laptop), and so was the worker.
 */
const LONGEST_NAP = NAP;
const LONGEST_LOOK = 1;

/** Ends workers; one that cannot be told to is no error of anybody's. @returns when all are gone */
export function endAll(workers: readonly WorkerHandle[]): Promise<unknown> {
  return Promise.allSettled(workers.map((worker) => worker.end()));
}

export class Pool {
  /** For tests: work of any size is shared. */
  eager = false;
  /** Null once the pool was closed: nothing then holds the kernels and their memory. */
  #parts: PoolParts | null;
  #reason = '';
  #number = 0;
  readonly #speed = new Speed();
  #ended: Promise<unknown> = Promise.resolve();

  constructor(parts: PoolParts) {
    this.#parts = parts;
  }

  /** Threads that compute, the caller among them: 1 after the pool was closed. */
  get threads(): number {
    return 1 + (this.#parts?.workers.length ?? 0);
  }

  /** Whether a job of `work` floating-point operations repays the other threads; bits do not depend on it. */
  worth(work: number): boolean {
    if (this.#parts === null || this.#parts.workers.length === 0) return false;
    if (this.eager) return true;
    return work >= (Atomics.load(this.#parts.control.words, ASLEEP) > 0 ? WORTH_WAKING : WORTH_SHARING);
  }

  /** Why the pool was closed; empty while it is open. */
  get reason(): string {
    return this.#reason;
  }

  /** Settled once no worker of a closed pool runs any more: until then one may still write where its share lies. */
  get ended(): Promise<unknown> {
    return this.#ended;
  }

  /**
   * Computes every share, on any thread, in any order.
   * @param shares - arguments of each share's call, at most 64; all of one length
   * @param scratch - bytes of one participant: the last argument is the caller's, participant i gets it moved by i times as many
   * @param work - floating-point operations of the whole, for the limit of the wait
   * @throws WorkerError when a worker stopped in the middle of a share; Error after the pool was closed
   */
  run(kernel: string, shares: readonly (readonly number[])[], scratch: number, work: number): void {
    const parts = this.#parts;
    if (parts === null) throw new Error(`Pool.run: ${kernel} after close()`);
    const { kernels, names, control } = parts;
    if (shares.length === 0 || shares.length > MOST_SHARES)
      throw new RangeError(`Pool.run: ${shares.length} shares, expected 1 to ${MOST_SHARES}`);
    const { words, values } = control;
    const length = shares[0]!.length;
    words[KERNEL] = names.indexOf(kernel);
    words[ARGUMENTS] = length;
    words[SCRATCH] = scratch;
    for (const [i, share] of shares.entries()) values.set(share, i * length);
    Atomics.store(words, DONE, 0);
    this.#number = (this.#number + 1) & 0xffff;
    Atomics.store(words, TICKET, ticketOf(this.#number, shares.length));
    Atomics.notify(words, TICKET, shares.length - 1);
    const begin = performance.now();
    let computed = 0;
    try {
      // The first share is the caller's: how long it takes says how long the others' may.
      for (let share = 0; share >= 0; share = claim(words)) {
        kernels[kernel]!(...argumentsOf(control, share, 0));
        Atomics.add(words, DONE, 1);
        computed++;
      }
    } catch (error) {
      void this.close(`${kernel} failed`);
      throw error;
    }
    const each = work / shares.length;
    this.#speed.add(each * computed, performance.now() - begin);
    this.#wait(parts, kernel, shares.length, TIMES * this.#speed.expect(each));
  }

  /** Ends the workers. Later work is the caller's alone; `reason` says why. Harmless when repeated. */
  close(reason: string): Promise<unknown> {
    if (this.#parts === null) return Promise.resolve();
    const { workers } = this.#parts;
    this.#parts = null;
    this.#reason = reason;
    this.#ended = endAll(workers);
    return this.#ended;
  }

  /** Waits for the shares that workers claimed, `explained` milliseconds and the pool's patience at most. */
  #wait(parts: PoolParts, kernel: string, count: number, explained: number): void {
    const { control, mayBlock, patience = 5000 } = parts;
    const { words } = control;
    const limit = patience + explained;
    const longest = mayBlock ? LONGEST_NAP : LONGEST_LOOK;
    let waited = 0;
    let before = performance.now();
    for (let looks = 0; ; looks++) {
      const done = Atomics.load(words, DONE);
      if (done === count) return;
      if (Atomics.load(words, FAILED) !== 0) this.#fail(kernel, 'its kernel failed');
      if (looks < LOOKS) continue;
      const now = performance.now();
      waited += Math.min(now - before, longest);
      before = now;
      if (waited > limit) this.#fail(kernel, `no answer in ${Math.round(limit)} ms`);
      if (mayBlock) Atomics.wait(words, DONE, done, NAP);
    }
  }

  #fail(kernel: string, what: string): never {
    const reason = `a worker stopped in the middle of ${kernel}: ${what}`;
    void this.close(reason);
    throw new WorkerError(`Runtime: ${reason}; the result is lost, later work runs on one thread`);
  }
}

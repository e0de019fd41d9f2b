/**
 * Lets a chosen allocation of a runtime fail, and counts allocations and the peak of held bytes on the way: for tests of
 * the state after an error, and of how much memory something takes. It stands between the engine and its allocator.
 */
import { OutOfMemoryError, type Runtime } from '../../src/index.js';
import { DISPOSE } from '../../src/values/dispose.js';

/** From its making until `stop()`, or the end of its `using` block, it stands before the allocator of `rt`. */
export class FailingAllocator {
  /** Allocations asked for so far, the failed one among them. */
  count = 0;
  /** Largest number of bytes held after an allocation. */
  peak: number;
  /** Whether the allocation that was to fail has been asked for. */
  failed = false;
  readonly #rt: Runtime;

  /** @param failAt - the allocation that fails, counted from 1; default: none */
  constructor(rt: Runtime, failAt = Number.POSITIVE_INFINITY) {
    const { engine } = rt;
    if (Object.hasOwn(engine, 'allocate')) throw new Error('FailingAllocator: one stands there already');
    this.#rt = rt;
    this.peak = engine.use().held;
    const allocate = engine.allocate.bind(engine);
    engine.allocate = (bytes) => {
      this.count++;
      if (this.count === failAt) {
        this.failed = true;
        throw new OutOfMemoryError(bytes, engine.use().held, engine.use().held);
      }
      const pointer = allocate(bytes);
      this.peak = Math.max(this.peak, engine.use().held);
      return pointer;
    };
  }

  stop(): void {
    Reflect.deleteProperty(this.#rt.engine, 'allocate');
  }

  [DISPOSE](): void {
    this.stop();
  }
}

/**
 * Calls `run` again and again, its first, second, third ... allocation failing, until a call needs fewer. Functions that
 * answer with a promise are waited for.
 * @param run - makes the same allocations at every call
 * @param after - checks the state after each failed call; gets the number of the allocation that failed, from 1
 * @returns the number of allocations of the last, undisturbed call
 * @throws what `run` throws besides OutOfMemoryError; Error where a failed allocation was swallowed
 */
export async function failEachAllocation(
  rt: Runtime,
  run: () => unknown,
  after: (failedAt: number) => unknown,
): Promise<number> {
  for (let failAt = 1; ; failAt++) {
    const allocator = new FailingAllocator(rt, failAt);
    let refused = false;
    try {
      await run();
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      refused = true;
    } finally {
      allocator.stop();
    }
    if (!allocator.failed) return allocator.count;
    if (!refused) throw new Error(`allocation ${failAt} failed and nobody noticed`);
    await after(failAt);
  }
}

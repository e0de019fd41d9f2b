/**
 * Calls a kernel that needs scratch, on all threads where that pays: each thread has as much scratch as one would, and none is missed
 * where memory is too small for theirs. Called by `products.ts`, `attention.ts`, `classes.ts`, `skinny.ts` and
 * `transformer.ts`.
 */
import type { Kernels } from './abi.js';
import { OutOfMemoryError } from './errors.js';
import type { Span } from './operands.js';
import type { Pool } from './pool/pool.js';
import { cut } from './split.js';

/** What `Sharing` needs of the engine. */
export interface ScratchSource {
  readonly kernels: Kernels;
  readonly level: number;
  scratch(bytes: number): number;
  /** Lets nobody use the span, or the scratch, again before `ended`. */
  fence(span: Span, ended: Promise<unknown>): void;
}

/** A kernel's call, whole or in shares whose bits are those of the whole. */
export interface SharedWork {
  readonly kernel: keyof Kernels & string;
  readonly flops: number;
  /** Bytes of scratch of one share. */
  readonly bytes: number;
  /** Where it writes. */
  outputs(): readonly Span[];
}

/** The arguments of the whole; the last is the scratch where there is any. */
export type Whole = (scratch: number) => number[];

/** The arguments of each share; one share or none where the work cannot be cut. */
export type Shares = (threads: number, scratch: number) => number[][];

/** Elements of a cache line, which no two threads write. */
export const LINE = 16;

/**
 * Work over a range, each part of which writes its own: nothing crosses a cut between two grains. Callers name every property:
 * a literal that spreads another one first takes Node 20 microseconds.
 */
export interface RangeWork extends SharedWork {
  readonly size: number;
  readonly grain: number;
  /** The arguments for `count` from `from` on. */
  part(from: number, count: number, scratch: number): number[];
}

/** What runs shared work. */
export interface Sharer {
  readonly sharing: Pick<Sharing, 'run'>;
}

/** Runs work over a range, on all threads where that pays. @throws OutOfMemoryError before anything is written; WorkerError */
export function runRange(sharing: Sharer['sharing'], work: RangeWork): void {
  sharing.run(
    work,
    (scratch) => work.part(0, work.size, scratch),
    (threads, scratch) =>
      cut(work.size, work.grain, threads).map(({ from, count }) => work.part(from, count, scratch)),
  );
}

export class Sharing {
  readonly #engine: ScratchSource;
  readonly #pool: Pool | null;

  constructor(engine: ScratchSource, pool: Pool | null) {
    this.#engine = engine;
    this.#pool = pool;
  }

  /** @throws OutOfMemoryError before anything is written; WorkerError */
  run(work: SharedWork, whole: Whole, shares: Shares): void {
    if ((this.#pool?.worth(work.flops) ?? false) && this.#share(work, shares)) return;
    const kernel = this.#engine.kernels[work.kernel] as (...values: number[]) => void;
    kernel(...whole(this.#engine.scratch(work.bytes)));
  }

  /** Computes in shares on all threads; false where the work cannot be cut, or memory has no room for their scratch. */
  #share({ kernel, outputs, flops, bytes }: SharedWork, shares: Shares): boolean {
    const { threads } = this.#pool!;
    if (shares(threads, 0).length <= 1) return false;
    const scratch = this.#roomyScratch(bytes * threads);
    if (scratch === null) return false;
    try {
      this.#pool!.run(kernel, shares(threads, scratch), bytes, flops);
    } catch (error) {
      // A worker that was given up may be late and not dead: it still writes.
      for (const span of outputs()) this.#engine.fence(span, this.#pool!.ended);
      throw error;
    }
    return true;
  }

  /** Scratch, or null where memory is too small for it: what one thread can compute must not fail for having more. */
  #roomyScratch(bytes: number): number | null {
    try {
      return this.#engine.scratch(bytes);
    } catch (error) {
      if (error instanceof OutOfMemoryError) return null;
      throw error;
    }
  }
}

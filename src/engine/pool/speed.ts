/**
 * How fast a thread of this runtime computes, measured on the shares that the caller itself computed: what a worker's share
 * should take follows from it. Two looks at the clock a job. Called by `pool.ts`.
 */

/** Weight that the past keeps at each job. */
const MEMORY = 0.9;
/** A share that took longer than this many times what was expected says that the process was halted, not that it is slow. */
const HALTED = 10;

export class Speed {
  #work = 0;
  #time = 0;

  /** Takes in shares of `work` floating-point operations that took so many milliseconds. */
  add(work: number, milliseconds: number): void {
    if (work <= 0 || !(milliseconds > 0)) return;
    const time = this.#work > 0 ? Math.min(milliseconds, HALTED * this.expect(work)) : milliseconds;
    this.#work = MEMORY * this.#work + work;
    this.#time = MEMORY * this.#time + time;
  }

  /** Milliseconds that `work` should take one thread; 0 before anything was measured. */
  expect(work: number): number {
    return this.#work > 0 ? (work * this.#time) / this.#work : 0;
  }
}

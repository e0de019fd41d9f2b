/** The error of a pool that a caller can react to. */

/** A thread stopped in the middle of an operation, whose result is lost. The runtime goes on with one thread: do the step again. */
export class WorkerError extends Error {
  override readonly name = 'WorkerError';
}

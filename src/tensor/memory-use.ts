/** What a runtime says of its memory. */

/** What `rt.memory()` says. */
export interface MemoryUse {
  /** Size of linear memory in bytes. It never shrinks. */
  readonly bytes: number;
  /** Bytes in live blocks. */
  readonly held: number;
  /** Most bytes in live blocks at once, so far or since `resetPeakMemory()`: tensors, what the tape keeps, scratch. */
  readonly peak: number;
  /** Live blocks. */
  readonly blocks: number;
  /** Live tensors. */
  readonly tensors: number;
}

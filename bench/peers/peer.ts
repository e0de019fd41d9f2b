/** What a peer is to the comparison: a name, its settings, and the operations that it can prepare. */
import type { Problem } from './problem.js';

export const OPERATIONS = ['linear forward', 'LoRA forward', 'LoRA training step'] as const;
export type Operation = (typeof OPERATIONS)[number];

/** What an operation computed, copied out: y of a forward, the first step's gradients of a training step. */
export type Results =
  | { readonly y: Float32Array }
  | { readonly da: Float32Array; readonly db: Float32Array; readonly dx: Float32Array };

/** One operation over one problem, its data in the peer's own memory. */
export interface Prepared {
  /** The timed body. A promise is awaited. */
  run(): unknown;
  /** Before the first `run` of a training step: its gradients. After a `run` of a forward: y. */
  read(): Promise<Results> | Results;
  /** Mean squared error at the present factors; training steps only. */
  loss?(): Promise<number> | number;
  /** Where the peer lives in another process: the median ms of calls within `ms`, by its own clock. */
  time?(ms: number): Promise<number>;
  dispose(): void;
}

/** A contestant, loaded for a number of threads. */
export interface Peer {
  /** Name of its npm package, or `pytorch+peft`. */
  readonly name: string;
  /** Where one package takes part in several ways: which one this is. The plainest has no name. */
  readonly variant?: string;
  readonly version: string;
  /** How it runs: build, backend, optimiser. */
  readonly settings: string;
  /** Kernel build, where it tells; else `own`. */
  readonly kernels: string;
  readonly threads: number;
  /** Operations that it does not have, with the reason. */
  readonly lacks: Partial<Record<Operation, string>>;
  prepare(operation: Operation, problem: Problem): Promise<Prepared> | Prepared;
}

/** What a contestant needs of its engine. */
export interface Place {
  readonly threads: number;
  /** Folder of the engine's files for a package, ending in a slash: a path in Node, an address in a page. */
  readonly filesOf: (packageName: string) => string;
  /** The naive loops' module. */
  readonly naive: WebAssembly.Module;
  /** Starts the given Python, or null where none is given. */
  readonly python: string | null;
}

/** @throws Error with the reason why the peer cannot run at this place */
export type Loader = (place: Place) => Promise<Peer>;

export const LEARNING_RATE = 1e-3;

/** A variant: the package's products, with gradients that the comparison wrote for it. */
export const CUSTOM_GRADIENT = 'custom gradient';

/** What a peer is to the comparison: a name, its settings, and the operations that it can prepare. */
import type { Operation, Prepared, Problem, Shape } from '../core/problem.js';
import { PACKAGE } from '../core/records.js';

/** Native, and started from Node alone. */
export const PYTORCH = 'pytorch+peft';

/** Everybody, by their labels. */
export const NAMES = [
  ...[PACKAGE, 'onnxruntime-web', '@tensorflow/tfjs', '@tensorflow/tfjs (custom gradient)'],
  ...['@jax-js/jax', '@genai-fi/nanogpt', 'plain TypeScript', 'naive WASM', PYTORCH],
] as const;

export const SHAPES: readonly Shape[] = [
  { M: 256, N: 768, K: 768, r: 8 },
  { M: 10, N: 2000, K: 1000, r: 1 },
  { M: 64, N: 768, K: 768, r: 8 },
  { M: 1, N: 768, K: 768, r: null },
];

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

/** Each is imported when it is asked for, so that a missing package hurts nobody else. */
export type Contestants = Readonly<Record<string, () => Promise<Loader>>>;

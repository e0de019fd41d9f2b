/**
 * The tape: what every differentiable operation leaves behind. Define-by-run: a node is made when an operation runs on a tensor
 * that requires a gradient; `walk.ts` replays the nodes in reverse and frees what each saved as soon as it used it.
 */

import type { Scope, Scoped } from './scope.js';
import type { Storage } from './storage.js';
import type { Tensor } from './tensor.js';
import type { Walk } from './walk.js';

/** Where an operation's backward writes the gradient of one input. */
export interface GradTarget {
  readonly pointer: number;
  /** 0: overwrite every element; 1: add. */
  readonly accumulate: 0 | 1;
}

/** Tensors under names, alone or in lists. */
type Named<T> = Readonly<Record<string, T | readonly T[]>>;

/** A list is asked for by name and place. */
type Index<T> = T extends readonly unknown[] ? [i: number] : [];

/** An operation's inputs: what may want a gradient; by its node where the tensor itself is not at hand. */
export type OperationInputs = Named<Tensor | TapeNode | null>;

/** What backward reads: kept as it is until then; null where this call needs it not. */
export type OperationKeep = Named<Tensor | null>;

/** Handed to an operation's backward: the gradient of its output, what it kept, and places for the gradients of its inputs. */
export interface BackwardContext<I extends OperationInputs, K extends OperationKeep> {
  /** Gradient of the output. */
  readonly dy: Tensor;
  /** Address of a tensor that was kept. @throws Error where this call kept none */
  at<N extends keyof K & string>(name: N, ...i: Index<K[N]>): number;
  /** A place for an input's gradient, or null where none is wanted. A place that is asked for must be filled. */
  grad<N extends keyof I & string>(name: N, ...i: Index<I[N]>): GradTarget | null;
  /** True where an input wants a gradient. */
  wants<N extends keyof I & string>(name: N, ...i: Index<I[N]>): boolean;
  /** Hands `gradient` (of the input's size) on as a whole. */
  pass<N extends keyof I & string>(gradient: Tensor, name: N, ...i: Index<I[N]>): void;
  /** What walks, for an operation that records more to be walked over (`parts.ts`). */
  readonly walk: Walk;
}

/** What an operation leaves on the tape. */
export interface Operation<I extends OperationInputs, K extends OperationKeep> {
  /** For messages. */
  readonly name: string;
  readonly inputs: I;
  readonly keep: K;
  /** Whether backward runs a function of the caller's again. */
  readonly repeats?: boolean;
  backward(context: BackwardContext<I, K>): void;
}

/** A context as the walk fills it in, whatever an operation's names are. */
export interface AnyContext {
  readonly dy: Tensor;
  readonly at: (name: string, i?: number) => number;
  readonly grad: (name: string, i?: number) => GradTarget | null;
  readonly wants: (name: string, i?: number) => boolean;
  readonly pass: (gradient: Tensor, name: string, i?: number) => void;
  readonly walk: Walk;
}

/** Content that a node saved, at the version that it then had. */
export interface Saved {
  readonly storage: Storage;
  readonly version: number;
  readonly offset: number;
}

/** Where the gradient of an input goes: to a leaf, to the node that computed it, or nowhere. */
export type Edge = Tensor | TapeNode | null;

let nextId = 0;

/** The nodes that are made from now on have this number or a later one. */
export function nodesSoFar(): number {
  return nextId;
}

/** Releases what a node saved that was dropped outside of every scope, with the graph around it. */
const forgotten = new FinalizationRegistry<readonly Saved[]>(releaseAll);

/** @throws Error when content was changed in place since it was saved */
export function checkUnchanged(name: string, { storage, version }: Omit<Saved, 'offset'>): void {
  if (storage.version !== version)
    throw new Error(
      `backward: a tensor that ${name} saved was changed in place since: it has version ${storage.version}, expected ${version}`,
    );
}

function releaseAll(saved: readonly Saved[]): void {
  for (const { storage } of saved) storage.release();
}

/** One thing a name, or a list of them. */
type ByName<T> = Record<string, T | readonly T[]>;

/** What stands under the same names, made of each tensor. */
function eachOf<S, T>(named: Named<S>, make: (one: S) => T): ByName<T> {
  const made: ByName<T> = {};
  for (const name in named) {
    const one = named[name]!;
    made[name] = Array.isArray(one) ? one.map(make) : make(one as S);
  }
  return made;
}

/** What wants the gradient of an input; null for nobody. */
function edgeTo(input: Tensor | TapeNode | null): Edge {
  if (input === null || input instanceof TapeNode) return input;
  return input.requiresGrad ? (input.node ?? input) : null;
}

export class TapeNode implements Scoped {
  readonly id = nextId++;
  readonly name: string;
  /** Of all inputs, in order. */
  readonly edges: readonly Edge[];
  readonly shape: readonly number[];
  readonly repeats: boolean;
  scope: Scope | null = null;
  readonly #inputs: ByName<Edge>;
  readonly #kept: ByName<Saved | null>;
  #saved: Saved[] | null;
  #run: ((context: AnyContext) => void) | null;
  #registered = false;

  /** @param shape - of the output */
  constructor(
    shape: readonly number[],
    { name, inputs, keep, repeats = false, backward }: Operation<OperationInputs, OperationKeep>,
  ) {
    this.name = name;
    this.shape = shape;
    this.repeats = repeats;
    const edges: Edge[] = [];
    this.#inputs = eachOf(inputs, (input) => {
      const edge = edgeTo(input);
      edges.push(edge);
      return edge;
    });
    this.edges = edges;
    const saved: Saved[] = [];
    this.#kept = eachOf(keep, (tensor) => {
      if (tensor === null) return null;
      const { storage, offset } = tensor;
      const one = { storage: storage.retain(), version: storage.version, offset };
      saved.push(one);
      return one;
    });
    this.#saved = saved;
    this.#run = backward as (context: AnyContext) => void;
  }

  /** The edge of an input. */
  edgeOf(name: string, i = 0): Edge {
    const edge = this.#inputs[name];
    return (Array.isArray(edge) ? edge[i] : edge) ?? null;
  }

  /** Address of what was kept. @throws Error where this call kept no such tensor */
  addressOf(name: string, i = 0): number {
    const kept = this.#kept[name];
    const one: Saved | null | undefined = Array.isArray(kept) ? kept[i] : kept;
    if (one === null || one === undefined)
      throw new Error(`backward: ${this.name} reads '${name}', which forward did not keep`);
    return one.storage.pointer + one.offset;
  }

  /** What was kept and is not released yet. */
  get saved(): readonly Saved[] {
    return this.#saved ?? [];
  }

  /** Runs the operation's backward once. @throws Error when what it saved is gone or was changed */
  run(context: AnyContext): void {
    this.check();
    this.#run!(context);
    this.release();
  }

  /** @throws Error when what was saved is gone, or a saved tensor was changed in place since */
  check(): void {
    if (this.#saved === null)
      throw new Error(
        `backward: what ${this.name} saved is gone, its scope ended or backward ran before, if only half-way; run forward again, expected one backward inside the scope`,
      );
    for (const one of this.#saved) checkUnchanged(this.name, one);
  }

  leftAlone(): void {
    if (this.#registered || this.#saved === null || this.#saved.length === 0) return;
    this.#registered = true;
    forgotten.register(this, this.#saved, this);
  }

  release(): void {
    if (this.#saved === null) return;
    if (this.#registered) forgotten.unregister(this);
    releaseAll(this.#saved);
    this.#saved = null;
    this.#run = null;
  }

  *dependencies(): Iterable<Scoped> {
    for (const edge of this.edges) if (edge !== null) yield edge;
  }
}

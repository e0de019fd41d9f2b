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
const forgotten = new FinalizationRegistry<readonly (Saved | null)[]>(releaseAll);

/** @throws Error when content was changed in place since it was saved */
export function checkUnchanged(name: string, { storage, version }: Omit<Saved, 'offset'>): void {
  if (storage.version !== version)
    throw new Error(
      `backward: a tensor that ${name} saved was changed in place since: it has version ${storage.version}, expected ${version}`,
    );
}

function releaseAll(saved: readonly (Saved | null)[]): void {
  for (const one of saved) one?.storage.release();
}

/** Things in a row, each beside its name; those of a list are neighbours. */
interface Row<T> {
  readonly names: readonly string[];
  readonly all: readonly T[];
}

/** What is made of each tensor, in the order of the names. */
function rowOf<S, T>(named: Named<S>, make: (one: S) => T): Row<T> {
  let size = 0;
  for (const name in named) size += isList(named[name]!) ? named[name].length : 1;
  const names = new Array<string>(size);
  const all = new Array<T>(size);
  let at = 0;
  for (const name in named) {
    const one = named[name]!;
    const count = isList(one) ? one.length : 1;
    for (let i = 0; i < count; i++) {
      names[at] = name;
      all[at++] = make(isList(one) ? one[i]! : one);
    }
  }
  return { names, all };
}

/** `Array.isArray` does not tell a readonly list from what may stand alone. */
function isList<S>(one: S | readonly S[]): one is readonly S[] {
  return Array.isArray(one);
}

/** What stands under a name, or at a place of its list. */
function inRow<T>({ names, all }: Row<T>, name: string, i: number): T | null {
  const at = names.indexOf(name) + i;
  return names[at] === name ? all[at]! : null;
}

/** A tensor's content, held until it is released. */
function savedOf(tensor: Tensor | null): Saved | null {
  if (tensor === null) return null;
  const { storage, offset } = tensor;
  return { storage: storage.retain(), version: storage.version, offset };
}

/** What wants the gradient of an input; null for nobody. */
function edgeTo(input: Tensor | TapeNode | null): Edge {
  if (input === null || input instanceof TapeNode) return input;
  return input.requiresGrad ? (input.node ?? input) : null;
}

/** What an operation leaves on the tape; null where no input wants a gradient. @param shape - of the output */
export function nodeOf(
  shape: readonly number[],
  operation: Operation<OperationInputs, OperationKeep>,
): TapeNode | null {
  const edges = rowOf(operation.inputs, edgeTo);
  return edges.all.every((edge) => edge === null) ? null : new TapeNode(shape, operation, edges);
}

export class TapeNode implements Scoped {
  readonly id = nextId++;
  readonly name: string;
  readonly shape: readonly number[];
  readonly repeats: boolean;
  scope: Scope | null = null;
  readonly #edges: Row<Edge>;
  readonly #kept: Row<Saved | null>;
  #released = false;
  #run: ((context: AnyContext) => void) | null;
  #registered = false;

  /** Made by `nodeOf`. */
  constructor(
    shape: readonly number[],
    { name, keep, repeats = false, backward }: Operation<OperationInputs, OperationKeep>,
    edges: Row<Edge>,
  ) {
    this.name = name;
    this.shape = shape;
    this.repeats = repeats;
    this.#edges = edges;
    this.#kept = rowOf(keep, savedOf);
    this.#run = backward as (context: AnyContext) => void;
  }

  /** Of all inputs, in order. */
  get edges(): readonly Edge[] {
    return this.#edges.all;
  }

  /** The edge of an input. */
  edgeOf(name: string, i = 0): Edge {
    return inRow(this.#edges, name, i);
  }

  /** Address of what was kept. @throws Error where this call kept no such tensor */
  addressOf(name: string, i = 0): number {
    const one = inRow(this.#kept, name, i);
    if (one === null) throw new Error(`backward: ${this.name} reads '${name}', which forward did not keep`);
    return one.storage.pointer + one.offset;
  }

  /** What was kept and is not released yet. */
  get saved(): readonly Saved[] {
    return this.#released ? [] : this.#kept.all.filter((one) => one !== null);
  }

  /** Runs the operation's backward once. @throws Error when what it saved is gone or was changed */
  run(context: AnyContext): void {
    this.check();
    this.#run!(context);
    this.release();
  }

  /** @throws Error when what was saved is gone, or a saved tensor was changed in place since */
  check(): void {
    if (this.#released)
      throw new Error(
        `backward: what ${this.name} saved is gone, its scope ended or backward ran before, if only half-way; run forward again, expected one backward inside the scope`,
      );
    for (const one of this.#kept.all) if (one !== null) checkUnchanged(this.name, one);
  }

  leftAlone(): void {
    if (this.#registered || this.saved.length === 0) return;
    this.#registered = true;
    forgotten.register(this, this.#kept.all, this);
  }

  release(): void {
    if (this.#released) return;
    if (this.#registered) forgotten.unregister(this);
    releaseAll(this.#kept.all);
    this.#released = true;
    this.#run = null;
  }

  *dependencies(): Iterable<Scoped> {
    for (const edge of this.edges) if (edge !== null) yield edge;
  }
}

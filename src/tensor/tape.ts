/**
 * The tape: what every differentiable operation leaves behind, and its replay in reverse. Define-by-run: a node is made
 * when an operation runs on a tensor that requires a gradient; backward frees what a node saved as soon as it used it.
 */
import type { Runtime } from './runtime.js';
import type { Scope, Scoped } from './scope.js';
import { sameShape, showShape } from './shape.js';
import type { Storage } from './storage.js';
import type { Tensor } from './tensor.js';

/** Where an operation's backward writes the gradient of one input. */
export interface GradTarget {
  readonly pointer: number;
  /** 0: overwrite every element; 1: add. */
  readonly accumulate: 0 | 1;
}

/** Handed to an operation's backward: the gradient of its output, and places for those of its inputs. */
export interface BackwardContext {
  /** Gradient of the output. */
  readonly dy: Tensor;
  /** A place for the gradient of input `i`, or null where none is wanted. A place that is asked for must be filled. */
  target(i: number): GradTarget | null;
  /** True where input `i` wants a gradient. */
  wants(i: number): boolean;
  /** Hands `gradient` (of the input's size) on as a whole. */
  pass(i: number, gradient: Tensor): void;
}

interface Saved {
  readonly storage: Storage;
  readonly version: number;
}

/** Where the gradient of an input goes: to a leaf, to the node that computed it, or nowhere. */
type Edge = Tensor | TapeNode | null;

let nextId = 0;

export class TapeNode implements Scoped {
  readonly id = nextId++;
  readonly name: string;
  readonly edges: readonly Edge[];
  readonly shape: readonly number[];
  scope: Scope | null = null;
  #saved: Saved[] | null;
  #run: ((context: BackwardContext) => void) | null;

  /**
   * @param inputs - the operation's inputs, in the order of `target(i)`
   * @param saved - tensors whose content backward reads
   */
  constructor(
    name: string,
    shape: readonly number[],
    inputs: readonly (Tensor | null)[],
    saved: readonly Tensor[],
    run: (context: BackwardContext) => void,
  ) {
    this.name = name;
    this.shape = shape;
    this.edges = inputs.map((input) => (input?.requiresGrad ? (input.node ?? input) : null));
    this.#saved = saved.map((tensor) => ({
      storage: tensor.storage.retain(),
      version: tensor.storage.version,
    }));
    this.#run = run;
  }

  /** Runs the operation's backward once. @throws Error when what it saved is gone or was changed */
  run(context: BackwardContext): void {
    if (this.#saved === null || this.#run === null) {
      throw new Error(
        `backward: what ${this.name} saved is gone, its scope ended or backward ran before; expected one backward inside the scope`,
      );
    }
    this.check();
    this.#run(context);
    this.release();
  }

  /** @throws Error when a saved tensor was changed in place since */
  check(): void {
    for (const { storage, version } of this.#saved ?? []) {
      if (storage.version !== version) {
        throw new Error(
          `backward: a tensor that ${this.name} saved was changed in place since: it has version ${storage.version}, expected ${version}`,
        );
      }
    }
  }

  get spent(): boolean {
    return this.#saved === null;
  }

  leftAlone(): void {}

  release(): void {
    for (const { storage } of this.#saved ?? []) storage.release();
    this.#saved = null;
    this.#run = null;
  }

  *dependencies(): Iterable<Scoped> {
    for (const edge of this.edges) if (edge !== null) yield edge;
  }
}

/** Nodes below `root`, latest first: an order in which every node comes before what it was computed from. */
function order(root: TapeNode): TapeNode[] {
  const seen = new Set<TapeNode>([root]);
  const queue = [root];
  for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
    for (const edge of node.edges) {
      if (edge instanceof TapeNode && !seen.has(edge)) {
        seen.add(edge);
        queue.push(edge);
      }
    }
  }
  return [...seen].sort((a, b) => b.id - a.id);
}

/** See `Tensor.backward`. */
export function backward(root: Tensor, gradient: Tensor | undefined): void {
  const runtime = root.runtime;
  if (!root.requiresGrad)
    throw new Error('Tensor.backward: nothing that this tensor was computed from requires a gradient');
  if (gradient === undefined && root.size !== 1) {
    throw new RangeError(
      `Tensor.backward: the tensor is ${showShape(root.shape)}, expected one element or a gradient of that shape`,
    );
  }
  if (gradient !== undefined && !sameShape(gradient.shape, root.shape)) {
    throw new RangeError(
      `Tensor.backward: gradient is ${showShape(gradient.shape)}, expected ${showShape(root.shape)}`,
    );
  }
  const nodes = root.node === null ? [] : order(root.node);
  for (const node of nodes) {
    if (node.spent) {
      throw new Error(
        `backward: what ${node.name} saved is gone, its scope ended or backward ran before; expected one backward inside the scope`,
      );
    }
    node.check();
  }
  runtime.scope(() => {
    const seed = gradient?.detach() ?? runtime.full(root.shape, 1);
    if (root.node === null) {
      addToLeaf(root, seed);
      return;
    }
    const walk = new Walk(runtime, root.node, seed);
    for (const node of nodes) walk.run(node);
  });
}

/** One walk back over the tape: the gradients that wait for their nodes, and places for new ones. */
class Walk {
  readonly #runtime: Runtime;
  readonly #pending: Map<TapeNode, Tensor>;
  /** Of the node that runs. */
  #edges: readonly Edge[] = [];

  constructor(runtime: Runtime, root: TapeNode, seed: Tensor) {
    this.#runtime = runtime;
    this.#pending = new Map([[root, seed]]);
  }

  /** Runs the backward of a node that a gradient came to. */
  run(node: TapeNode): void {
    const dy = this.#pending.get(node);
    if (dy === undefined) return;
    this.#pending.delete(node);
    this.#edges = node.edges;
    node.run({ dy, target: this.#target, pass: this.#pass, wants: this.#wants });
    dy.dispose();
  }

  // Functions of the walk and not methods: operations take them out of their context.
  readonly #wants = (i: number): boolean => (this.#edges[i] ?? null) !== null;

  readonly #target = (i: number): GradTarget | null => {
    const edge = this.#edges[i] ?? null;
    if (edge === null) return null;
    return edge instanceof TapeNode ? this.#placeOf(edge) : placeOfLeaf(edge);
  };

  readonly #pass = (i: number, gradient: Tensor): void => {
    const edge = this.#edges[i] ?? null;
    if (edge === null) return;
    if (edge instanceof TapeNode && !this.#pending.has(edge)) {
      this.#pending.set(edge, gradient.detach());
      return;
    }
    const { pointer, accumulate } = this.#target(i)!;
    const { kernels } = this.#runtime.engine;
    if (accumulate === 1) kernels.axpy(gradient.size, 1, gradient.pointer, pointer);
    else kernels.scale(gradient.size, 1, gradient.pointer, pointer);
  };

  #placeOf(node: TapeNode): GradTarget {
    let held = this.#pending.get(node);
    if (held === undefined) {
      held = this.#runtime.empty(node.shape, 'f32');
      this.#pending.set(node, held);
      return { pointer: held.pointer, accumulate: 0 };
    }
    if (held.storage.shared) {
      const own = this.#runtime.empty(node.shape, 'f32');
      this.#runtime.engine.kernels.scale(held.size, 1, held.pointer, own.pointer);
      held.dispose();
      held = own;
      this.#pending.set(node, held);
    }
    return { pointer: held.pointer, accumulate: 1 };
  }
}

function placeOfLeaf(leaf: Tensor): GradTarget {
  if (leaf.grad !== null) {
    leaf.grad.storage.version++;
    return { pointer: leaf.grad.pointer, accumulate: 1 };
  }
  leaf.grad = leaf.makeGrad();
  return { pointer: leaf.grad.pointer, accumulate: 0 };
}

function addToLeaf(leaf: Tensor, seed: Tensor): void {
  const kernels = leaf.runtime.engine.kernels;
  if (leaf.grad === null) {
    leaf.grad = leaf.makeGrad();
    kernels.scale(seed.size, 1, seed.pointer, leaf.grad.pointer);
  } else kernels.axpy(seed.size, 1, seed.pointer, leaf.grad.pointer);
}

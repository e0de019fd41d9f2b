/**
 * Backward: the replay of the tape in reverse. A node runs when its output's gradient is complete, and writes those of its
 * inputs where they are gathered: for leaves in `gathered.ts`, for what other nodes computed here. Called by Runtime.
 */
import { showShape } from '../values/shape.js';
import { checkGradient } from './check.js';
import { contribute, Gathered } from './gathered.js';
import type { Runtime } from './runtime.js';
import { type AnyContext, type Edge, type GradTarget, TapeNode } from './tape.js';
import type { Tensor } from './tensor.js';

/** Where a gradient goes that leaves the part of the graph which is walked. */
export type Outside = (edge: Tensor | TapeNode) => GradTarget;

/** Nodes from number `since` on below `root`, latest first: an order in which every node comes before what it was computed from. */
export function order({ node: root }: Tensor, since = 0): TapeNode[] {
  const found = root !== null && root.id >= since ? [root] : [];
  const seen = new Set(found);
  // It grows while it is walked over.
  for (const node of found) {
    for (const edge of node.edges) {
      if (edge instanceof TapeNode && edge.id >= since && !seen.has(edge)) {
        seen.add(edge);
        found.push(edge);
      }
    }
  }
  return found.sort((a, b) => b.id - a.id);
}

/** What the innermost running backward has gathered. */
let running: Gathered | null = null;

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
  if (gradient !== undefined) checkGradient('Tensor.backward', 'gradient', gradient, root);
  if (root.node === null) void root.storage;
  const nodes = order(root);
  for (const node of nodes) node.check();
  const outer = running;
  const gathered = new Gathered(outer);
  running = gathered;
  try {
    runtime.scope(() => {
      const seed = gradient?.detach() ?? runtime.full(root.shape, 1);
      const walk = new Walk(runtime, 0, (edge) => gathered.placeOf(leafOf(edge)));
      walk.over(nodes, root.node ?? root, seed);
    });
    gathered.handOver();
  } catch (error) {
    gathered.giveUp();
    throw error;
  } finally {
    running = outer;
  }
}

function leafOf(edge: Tensor | TapeNode): Tensor {
  if (edge instanceof TapeNode) throw new Error(`backward: ${edge.name} is outside`);
  return edge;
}

/** One walk back over the tape: the gradients that wait for their nodes, and places for new ones. */
export class Walk {
  readonly #runtime: Runtime;
  readonly #since: number;
  readonly #outside: Outside;
  /** Gradients that wait for their nodes. */
  readonly pending = new Map<TapeNode, Tensor>();
  #node: TapeNode | null = null;

  /** @param since - number of the first node that is walked over */
  constructor(runtime: Runtime, since: number, outside: Outside) {
    this.#runtime = runtime;
    this.#since = since;
    this.#outside = outside;
  }

  /** Runs the nodes in their order, from the gradient of the root on. */
  over(nodes: readonly TapeNode[], root: TapeNode | Tensor, seed: Tensor): void {
    this.give(root, seed);
    for (const node of nodes) this.#run(node);
  }

  /** Adds a gradient as a whole to what waits at an edge. */
  give(edge: Tensor | TapeNode, gradient: Tensor): void {
    if (this.#isInside(edge) && !this.pending.has(edge)) {
      this.pending.set(edge, gradient.detach());
      return;
    }
    const { pointer, accumulate } = this.#placeOf(edge);
    contribute(gradient, pointer, accumulate);
  }

  /** Runs the backward of a node, if a gradient came to it. */
  #run(node: TapeNode): void {
    const dy = this.pending.get(node);
    if (dy === undefined) return;
    this.pending.delete(node);
    this.#node = node;
    node.run({ dy, at: this.#at, grad: this.#grad, wants: this.#wants, pass: this.#pass, walk: this });
    dy.dispose();
  }

  /** What wants the gradient of an input; a leaf that is gone wants none. */
  #edge(name: string, i?: number): Edge {
    const edge = this.#node!.edgeOf(name, i);
    return edge instanceof TapeNode || edge?.disposed === false ? edge : null;
  }

  // Functions of the walk and not methods: operations take them out of their context.
  readonly #at: AnyContext['at'] = (name, i) => this.#node!.addressOf(name, i);

  readonly #wants: AnyContext['wants'] = (name, i) => this.#edge(name, i) !== null;

  readonly #grad: AnyContext['grad'] = (name, i) => {
    const edge = this.#edge(name, i);
    return edge === null ? null : this.#placeOf(edge);
  };

  readonly #pass: AnyContext['pass'] = (gradient, name, i) => {
    const edge = this.#edge(name, i);
    if (edge !== null) this.give(edge, gradient);
  };

  #placeOf(edge: Tensor | TapeNode): GradTarget {
    return this.#isInside(edge) ? this.#placeOfNode(edge) : this.#outside(edge);
  }

  #isInside(edge: Tensor | TapeNode): edge is TapeNode {
    return edge instanceof TapeNode && edge.id >= this.#since;
  }

  #placeOfNode(node: TapeNode): GradTarget {
    let held = this.pending.get(node);
    if (held === undefined) {
      held = this.#runtime.empty(node.shape, 'f32');
      this.pending.set(node, held);
      return { pointer: held.pointer, accumulate: 0 };
    }
    if (held.storage.shared) {
      const own = this.#runtime.empty(node.shape, 'f32');
      contribute(held, own.pointer, 0);
      held.dispose();
      held = own;
      this.pending.set(node, held);
    }
    return { pointer: held.pointer, accumulate: 1 };
  }
}

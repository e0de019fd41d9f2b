/**
 * Walks over a part of the tape: of what an operation recorded for itself, while its forward or its backward runs. Called by
 * `linearCrossEntropy` and `checkpoint`.
 */
import { nodesSoFar } from './tape.js';
import type { Tensor } from './tensor.js';
import { type Outside, order, Walk } from './walk.js';

/**
 * Walks back from `root` over the nodes from number `since` on, at once and apart from every `grad`: what was computed before
 * them, and leaves, get their gradients at the places that `outside` gives.
 * @param gradient - of root
 */
export function partialBackward(root: Tensor, gradient: Tensor, since: number, outside: Outside): void {
  const { runtime, node } = root;
  const nodes = order(root, since);
  for (const one of nodes) one.check();
  runtime.scope(() => new Walk(runtime, since, outside).over(nodes, node ?? root, gradient));
}

/**
 * The last thing that an operation's backward does: runs `fn`, which records, and walks on over that.
 * @param gradient - of what `fn` gives
 */
export function walkOver(walk: Walk, gradient: Tensor, fn: () => Tensor): void {
  const { runtime } = gradient;
  const since = nodesSoFar();
  const waiting = (): Tensor[] => [...walk.pending.values()];
  runtime.scope(() => {
    let rest = (): void => {};
    runtime.scope(() => {
      const root = runtime.running.recording(true, fn);
      const nodes = order(root, since);
      const over = (): void => {
        if (root.requiresGrad) walk.over(nodes, root.node ?? root, gradient);
      };
      // What is to run again may read temporaries of `fn`; else they go before the walk.
      if (nodes.some(({ repeats }) => repeats)) over();
      else rest = over;
      return [root, ...waiting()];
    });
    rest();
    // Gradients that wait for earlier nodes outlive what was recorded here.
    return waiting();
  });
}

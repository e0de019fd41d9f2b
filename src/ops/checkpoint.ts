/**
 * Gradient checkpointing: a part of a model whose temporaries are not kept for backward but computed again there, with the same
 * random numbers (Chen and others, arXiv 1604.06174).
 */

import { checkTensor } from '../tensor/check.js';
import { walkOver } from '../tensor/parts.js';
import { repeatRandom, watchRandom } from '../tensor/random-watch.js';
import type { Runtime } from '../tensor/runtime.js';
import type { Storage } from '../tensor/storage.js';
import { checkUnchanged, type Edge, nodesSoFar, type Saved, TapeNode } from '../tensor/tape.js';
import { Tensor } from '../tensor/tensor.js';
import { order } from '../tensor/walk.js';
import { describe } from '../values/checks.js';

const WHERE = 'checkpoint';

/**
 * fn(x), of which only x is kept: backward runs `fn` again and walks back over what it records then. Memory falls by what `fn`
 * leaves on the tape, for the time of one more forward; values and gradients have the bits of `fn(x)` alone, dropout included.
 * Without recording it is `fn(x)`.
 * @param fn - a synchronous function that computes the same again as long as nothing that it reads is changed; it may read
 * parameters and other tensors, which get their gradients, and must not use their handles after they were disposed of
 * @param x - of any shape and dtype
 * @throws TypeError, RangeError, OutOfMemoryError; whatever `fn` throws. Backward throws an Error where `fn` gave other values
 * than before
 * @example
 * for (const block of blocks) x = checkpoint((input) => block.forward(input), x);
 */
export function checkpoint(fn: (x: Tensor) => Tensor, x: Tensor): Tensor {
  if (typeof fn !== 'function') throw new TypeError(`${WHERE}: fn is ${describe(fn)}, expected a function`);
  const rt = checkTensor(WHERE, 'x', x, {}).runtime;
  if (!rt.gradEnabled) return checkResult(rt, fn(x));
  return rt.attempt(() => {
    const since = nodesSoFar();
    let outside: Outside = { edges: [], saved: new Map() };
    const { result: y, places } = watchRandom(rt, () =>
      rt.scope(() => {
        const inner = checkResult(rt, fn(x));
        outside = outsideOf(inner, since);
        return inner.detach();
      }),
    );
    const saved = [...outside.saved].filter(([storage]) => storage.alive);
    const digest = digestOf(y);
    const input = laterView(x);
    return rt.record(y, {
      name: WHERE,
      inputs: { outside: outside.edges },
      keep: { x },
      repeats: true,
      backward({ dy, walk }) {
        for (const [storage, version] of saved)
          if (storage.alive) checkUnchanged(WHERE, { storage, version });
        walkOver(walk, dy, () => {
          const again = repeatRandom(rt, places, () => checkResult(rt, fn(input())));
          checkDigest(digestOf(again), digest);
          return again;
        });
      },
    });
  });
}

/** What wants gradients of what was recorded since, and the content that it saved, with its version. */
interface Outside {
  readonly edges: readonly (Tensor | TapeNode)[];
  readonly saved: ReadonlyMap<Storage, Saved['version']>;
}

/** @param since - number of the first node that the function may have made */
function outsideOf(root: Tensor, since: number): Outside {
  const edges = new Set<Tensor | TapeNode>();
  const saved = new Map<Storage, number>();
  const meet = (edge: Edge): void => {
    if (edge !== null && !(edge instanceof TapeNode && edge.id >= since)) edges.add(edge);
  };
  if (root.requiresGrad) meet(root.node ?? root);
  for (const node of order(root, since)) {
    for (const edge of node.edges) meet(edge);
    for (const { storage, version } of node.saved) saved.set(storage, version);
  }
  return { edges: [...edges], saved };
}

/** A function that gives x as it was recorded, though its own handle be gone by then: itself where it is a leaf with a gradient. */
function laterView(x: Tensor): () => Tensor {
  const { runtime, storage, offset, shape, dtype, node } = x;
  const leaf = node === null && x.requiresGrad;
  return () => {
    if (leaf && !x.disposed) return x;
    const view = runtime.adopt(new Tensor(runtime, storage.retain(), offset, shape, dtype));
    view.node = node;
    return view;
  };
}

/** Numbers that tell other values of a tensor with near certainty. */
type Digest = readonly [sum: number, squares: number];

function digestOf({ runtime, size, pointer, dtype }: Tensor): Digest {
  if (dtype !== 'f32') return [0, 0];
  const { kernels } = runtime.engine;
  return [kernels.sum(size, pointer), kernels.squaredNorm(size, pointer)];
}

/** @throws Error unless both are of the same values */
function checkDigest(got: Digest, wanted: Digest): void {
  if (got.every((value, i) => Object.is(value, wanted[i]))) return;
  throw new Error(
    `backward: the function of ${WHERE} gave other values when it ran again: their sum is ${got[0]}, expected ${wanted[0]}; something that it reads was changed since forward`,
  );
}

/** @throws TypeError unless fn gave a tensor of the runtime; Error after dispose */
function checkResult(rt: Runtime, result: unknown): Tensor {
  return checkTensor(WHERE, 'the result of fn', result, { runtime: rt });
}

/**
 * The pass of `linearCrossEntropy`: the head, its loss and its backward, 64 rows at a time. A chunk's logits become their own
 * gradient and are walked back at once, so that no more than one chunk of them exists. Chunks follow one another in the order of
 * the rows, whatever threads there are, and so do the sums of what the head trains.
 */

import { crossEntropyGradient, crossEntropyTo } from '../engine/classes.js';
import { gradientMatrix } from '../engine/matrices.js';
import { matrix } from '../engine/operands.js';
import { cut } from '../engine/split.js';
import { checkTensor } from '../tensor/check.js';
import { Collected } from '../tensor/collected.js';
import { partialBackward } from '../tensor/parts.js';
import { nodesSoFar } from '../tensor/tape.js';
import { Tensor } from '../tensor/tensor.js';
import { showShape } from '../values/shape.js';
import { type Counted, checkClasses } from './labels.js';

/** Rows of logits that exist at once. */
const CHUNK = 64;

/** What the pass is over. */
export interface ChunkedRows {
  /** [count, K]: the rows that count. */
  readonly x: Tensor;
  readonly counted: Counted;
  logitsOf(rows: Tensor): Tensor;
  /** Multiplies the gradient of every row's loss. */
  readonly share: number;
  /** Whether the gradient of x is wanted. */
  readonly wanted: boolean;
}

/** What it leaves; the caller disposes of the tensors. */
export interface ChunkedLoss {
  /** The sum of the rows' losses. */
  readonly total: number;
  /** [count, K]: gradient of x. */
  readonly dx: Tensor | null;
  /** Gradients of what the head trains. */
  readonly collected: Collected;
}

/** @throws TypeError, RangeError for logits that are none; whatever the head throws */
export function lossByChunks(where: string, rows: ChunkedRows): ChunkedLoss {
  const rt = rows.x.runtime;
  const { targets } = rows.counted;
  const count = targets.length;
  const labels = rt.tensor(targets);
  const losses = rt.empty([count], 'f32');
  const dx = rows.wanted ? rt.empty(rows.x.shape, 'f32') : null;
  const one = rt.full([], 1);
  const collected = new Collected(rt);
  // Without a row the head runs all the same: what it trains gets a gradient of zeros.
  const chunks = count === 0 ? [{ from: 0, count: 0 }] : cut(count, 1, Math.ceil(count / CHUNK));
  try {
    for (const chunk of chunks)
      rt.scope(() => runChunk(where, rows, chunk, { labels, losses, dx, one, collected }));
  } catch (error) {
    collected.dispose();
    throw error;
  }
  // From here on they belong to the scope, as all the rest.
  for (const gradient of collected.gradients) rt.adopt(gradient);
  const total = rt.engine.kernels.sum(count, losses.pointer);
  for (const tensor of [labels, losses, one]) tensor.dispose();
  return { total, dx, collected };
}

interface Places {
  readonly labels: Tensor;
  readonly losses: Tensor;
  readonly dx: Tensor | null;
  /** The number 1, which every row's loss is multiplied by. */
  readonly one: Tensor;
  readonly collected: Collected;
}

/** Losses and gradients of `count` rows from row `from` on. */
function runChunk(
  where: string,
  rows: ChunkedRows,
  { from, count }: { readonly from: number; readonly count: number },
  { labels, losses, dx, one, collected }: Places,
): void {
  const { x, counted, share } = rows;
  const rt = x.runtime;
  const { kernels } = rt.engine;
  const K = x.shape[1]!;
  const part = rt.adopt(new Tensor(rt, x.storage.retain(), x.offset + 4 * from * K, [count, K], 'f32'));
  part.requiresGrad = dx !== null;
  const [since, made] = [nodesSoFar(), Tensor.made];
  const logits = withRowsApart(where, rows, part);
  const N = checkLogits(where, logits, part);
  checkClasses(where, counted, N);
  const labelled = {
    x: matrix(logits.pointer, count, N),
    labels: labels.pointer + 4 * from,
    // A class or not: every row counts.
    ignoreIndex: -1,
  };
  crossEntropyTo(rt.engine, labelled, losses.pointer + 4 * from);
  if (!rt.gradEnabled || !logits.requiresGrad) return;
  const own = logits.number >= made && logits.scope !== null && !logits.storage.shared;
  const d = own ? logits : rt.empty(logits.shape, 'f32');
  const to = gradientMatrix({ pointer: d.pointer, accumulate: 0 }, count, N);
  crossEntropyGradient(rt.engine, labelled, { scale: share, pointer: one.pointer, stride: 0 }, to);
  let accumulate: 0 | 1 = 0;
  partialBackward(logits, d, since, (edge) => {
    if (edge !== part) return collected.placeOf(edge);
    const place = { pointer: dx!.pointer + 4 * from * K, accumulate };
    accumulate = 1;
    return place;
  });
  // Logits that none of the hidden rows went into.
  if (dx !== null && accumulate === 0) kernels.fill(count * K, 0, dx.pointer + 4 * from * K);
}

/** The head over some rows: layers whose rows differ cannot know which these are. */
function withRowsApart(where: string, { x, logitsOf }: ChunkedRows, part: Tensor): Tensor {
  const rt = x.runtime;
  const before = rt.running.apart;
  rt.running.apart = where;
  try {
    return logitsOf(part);
  } finally {
    rt.running.apart = before;
  }
}

/** The number of classes. @throws TypeError, RangeError */
function checkLogits(where: string, logits: unknown, { runtime, shape }: Tensor): number {
  const { shape: got } = checkTensor(`${where}: head.forward`, 'its result', logits, {
    dtype: 'f32',
    runtime,
  });
  if (got.length !== 2 || got[0] !== shape[0] || got[1] === 0)
    throw new RangeError(
      `${where}: head.forward: its result is ${showShape(got)}, expected [${shape[0]}, classes]`,
    );
  return got[1]!;
}

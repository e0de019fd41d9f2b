/** Causal attention over grouped heads, without a matrix of all scores. */

import {
  type AttentionShape,
  attend,
  attendBackwardKeys,
  attendBackwardQueries,
} from '../engine/attention.js';
import { dotRows } from '../engine/matrices.js';
import { matrix, type Span } from '../engine/operands.js';
import type { Runtime } from '../tensor/runtime.js';
import type { BackwardContext } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkInteger, checkNumber, checkOptions } from '../values/checks.js';
import { showShape } from '../values/shape.js';
import { checkTensors } from './check.js';
import { type Indices, indicesOf } from './indices.js';

/** What `causalAttention` takes beside its tensors. */
export interface AttentionOptions {
  /** Heads of the queries. */
  readonly heads: number;
  /** Heads of keys and values, which divide `heads`. Default `heads`. */
  readonly kvHeads?: number;
  /** Multiplies the scores. Default 1/√D, D the elements of a head. */
  readonly scale?: number;
  /** Keys that a query sees at most, itself among them. Default all before it. */
  readonly window?: number;
  /** int32 [B·T]: the first key that each query may see, at most its own; how packed rows are kept apart. Default 0. */
  readonly starts?: Indices;
  /** Number of the first query among the keys: how many keys a cache held before. Default 0. */
  readonly offset?: number;
}

const OPTIONS = ['heads', 'kvHeads', 'scale', 'window', 'starts', 'offset'] as const;

/**
 * y = softmax(scale·q·kᵀ)·v, head by head: the query at t sees the keys from max(starts[t], offset + t - window + 1) to offset + t. Heads
 * h·heads/kvHeads and following share keys and values of head h (Vaswani and others, arXiv 1706.03762; Ainslie and others, arXiv 2305.13245).
 * Memory beside the result grows with S, not with T·S.
 * @param q - [B, T, heads·D] float32
 * @param k - [B, S, kvHeads·D] float32, S at least offset + T; what lies behind is not read
 * @param v - as k
 * @returns [B, T, heads·D]
 * @throws TypeError, RangeError, OutOfMemoryError
 * @example
 * const y = causalAttention(q, k, v, { heads: 9, kvHeads: 3 });
 */
export function causalAttention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const where = 'causalAttention';
  const rt = checkTensors(where, { q, k, v });
  const shape = checkAttention(where, { q, k, v }, options);
  const { B, T, heads, offset } = shape;
  return rt.attempt(() => {
    const seen = (i: number): number => offset + (i % T) + 1;
    const starts = indicesOf(`${where}: starts`, rt, options.starts, [B * T], seen);
    const y = rt.empty(q.shape, 'f32');
    const recorded = rt.gradEnabled && [q, k, v].some((x) => x.requiresGrad);
    const lse = recorded ? rt.empty([B, T, heads], 'f32') : null;
    if (y.size > 0) {
      const inputs = { q: q.pointer, k: k.pointer, v: v.pointer, starts: starts?.pointer ?? 0 };
      attend(rt.engine, shape, inputs, { y: spanOf(y), lse: lse === null ? null : spanOf(lse) });
    }
    rt.record(y, {
      name: where,
      inputs: { q, k, v },
      keep: { q, k, v, y, lse, starts },
      backward: (context) => attentionGradients(rt, shape, starts !== null, context),
    });
    lse?.dispose();
    if (starts !== null && starts !== options.starts) starts.dispose();
    return y;
  });
}

const spanOf = ({ pointer, size }: Tensor): Span => ({ pointer, bytes: 4 * size });

type Context = BackwardContext<
  { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor },
  Readonly<Record<'q' | 'k' | 'v' | 'y' | 'lse' | 'starts', Tensor | null>>
>;

/** Gradients of what wants one: queries by themselves, keys and values together. */
function attentionGradients(
  rt: Runtime,
  shape: AttentionShape,
  packed: boolean,
  { dy, at, grad }: Context,
): void {
  const { engine } = rt;
  const { B, T, heads, D } = shape;
  const [dq, dk, dv] = [grad('q'), grad('k'), grad('v')];
  if (dy.size === 0) {
    const size = B * shape.S * shape.kvHeads * D;
    for (const place of [dk, dv]) if (place?.accumulate === 0) engine.kernels.fill(size, 0, place.pointer);
    return;
  }
  const rows = B * T * heads;
  const delta = rt.empty([rows], 'f32');
  const to = { pointer: delta.pointer, accumulate: 0 } as const;
  dotRows(engine.kernels, matrix(dy.pointer, rows, D), matrix(at('y'), rows, D), 0, to);
  const inputs = { q: at('q'), k: at('k'), v: at('v'), starts: packed ? at('starts') : 0 };
  const sums = { lse: at('lse'), dy: dy.pointer, delta: delta.pointer };
  if (dq !== null) attendBackwardQueries(engine, shape, inputs, sums, dq);
  if (dk !== null || dv !== null) attendBackwardKeys(engine, shape, inputs, sums, [dk, dv]);
  delta.dispose();
}

/** @throws TypeError, RangeError unless shapes and options fit together */
function checkAttention(
  where: string,
  { q, k, v }: { q: Tensor; k: Tensor; v: Tensor },
  options: AttentionOptions,
): AttentionShape {
  checkOptions(where, options, OPTIONS);
  const heads = checkInteger(`${where}: heads`, options.heads, 1, 65536);
  const kvHeads = checkInteger(`${where}: kvHeads`, options.kvHeads ?? heads, 1, heads);
  if (heads % kvHeads !== 0)
    throw new RangeError(`${where}: kvHeads is ${kvHeads}, expected a divisor of ${heads} heads`);
  const [B, T, width] = q.shape as [number, number, number];
  if (q.shape.length !== 3 || width === 0 || width % heads !== 0)
    throw new RangeError(`${where}: q is ${showShape(q.shape)}, expected [B, T, ${heads}*D]`);
  const D = width / heads;
  const offset = checkInteger(`${where}: offset`, options.offset ?? 0, 0, 2 ** 31 - 1);
  const S = k.shape[1] ?? 0;
  for (const [name, { shape }] of Object.entries({ k, v }))
    if (shape.length !== 3 || shape[0] !== B || shape[2] !== kvHeads * D || shape[1] !== S)
      throw new RangeError(
        `${where}: ${name} is ${showShape(shape)}, expected [${B}, ${name === 'k' ? 'S' : S}, ${kvHeads * D}]`,
      );
  if (offset + T > S)
    throw new RangeError(
      `${where}: k is ${showShape(k.shape)}, expected at least ${offset + T} keys for ${T} queries from ${offset} on`,
    );
  const window =
    options.window === undefined ? 0 : checkInteger(`${where}: window`, options.window, 1, 2 ** 31 - 1);
  const scale = checkNumber(`${where}: scale`, options.scale ?? 1 / Math.sqrt(D), -1e6, 1e6);
  return { B, T, S, heads, kvHeads, D, scale, window, offset };
}

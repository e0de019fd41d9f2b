/** Causal attention with grouped heads and its two gradients, held against the flops of the half that the mask leaves; ceilings in the same rounds. */
import type { Tensor } from 'lora-wasm';
import { verifyClose } from '../../reference/check.js';
import { randomArray } from '../../reference/random.js';
import { attention, attentionBackward } from '../../reference/transformer.js';
import {
  type AttentionShape,
  attend,
  attendBackwardKeys,
  attendBackwardQueries,
} from '../../src/engine/attention.js';
import { dotRows } from '../../src/engine/matrices.js';
import { matrix } from '../../src/engine/operands.js';
import type { Effort } from '../core/measure.js';
import { FLOPS_A_TURN } from '../core/peak.js';
import { gflopsOf } from '../core/records.js';
import { type Entry, timedRows } from '../core/timed-rows.js';
import type { Environment } from '../suite.js';
import { type ModelSizes, SMOLLM2 } from './sizes.js';
import { besideCeilings, type CeilingRow } from './turns.js';

export const ATTENTION = 'causal attention';
/** By the kernel that runs: products of a row of queries with a row of keys that it makes. */
const PRODUCTS = {
  [ATTENTION]: 2,
  'its gradient of queries': 3,
  'its gradients of keys and values': 4,
} as const;
export const ATTENTION_OPERATIONS = Object.keys(PRODUCTS) as (keyof typeof PRODUCTS)[];
const LENGTHS = [64, 256, 1024];
/** Of the ceiling's loop in a call: less than a millisecond. */
const CEILING_TURNS = 200_000;
const FULL: Effort = { rounds: 9, roundMs: 30, samples: 5 };
const QUICK: Effort = { rounds: 2, roundMs: 1 };

const shapeOf = (T: number, { numAttentionHeads, numKeyValueHeads, headDim }: ModelSizes): string =>
  `T=${T}, ${numAttentionHeads} heads of ${headDim}, ${numKeyValueHeads} for keys`;
export const attentionShape = (T: number): string => shapeOf(T, SMOLLM2);

export function attentionRows(environment: Environment, sizes: ModelSizes): CeilingRow[] {
  return (environment.quick ? [24] : LENGTHS).flatMap((T) => {
    const shape = shapeOf(T, sizes);
    if (!environment.wanted(`${ATTENTION} ${shape}`)) return [];
    environment.progress(`${ATTENTION}, ${shape}`);
    return rowsOf(environment, T, sizes, shape);
  });
}

function rowsOf(
  { rt, quick, yardstick }: Environment,
  T: number,
  { numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim: D }: ModelSizes,
  shape: string,
): CeilingRow[] {
  const scale = Math.fround(1 / Math.sqrt(D));
  const sizes: AttentionShape = { B: 1, T, S: T, heads, kvHeads, D, scale, window: 0, offset: 0 };
  const [queries, keys] = [T * heads * D, T * kvHeads * D];
  const drawn = (n: number, seed: number): Tensor => rt.tensor(randomArray(n, seed));
  const [q, k, v, dy] = [drawn(queries, 1), drawn(keys, 2), drawn(keys, 3), drawn(queries, 4)];
  const [y, dq] = [rt.zeros([queries]), rt.zeros([queries])];
  const [dk, dv] = [rt.zeros([keys]), rt.zeros([keys])];
  const [lse, delta] = [rt.zeros([T * heads]), rt.zeros([T * heads])];
  const { engine } = rt;
  const inputs = { q: q.pointer, k: k.pointer, v: v.pointer, starts: 0 };
  const sums = { lse: lse.pointer, dy: dy.pointer, delta: delta.pointer };
  const to = (pointer: number) => ({ pointer, accumulate: 0 }) as const;
  const runs = [
    () =>
      attend(engine, sizes, inputs, {
        y: { pointer: y.pointer, bytes: 4 * queries },
        lse: { pointer: lse.pointer, bytes: 4 * T * heads },
      }),
    () => attendBackwardQueries(engine, sizes, inputs, sums, to(dq.pointer)),
    () => attendBackwardKeys(engine, sizes, inputs, sums, [to(dk.pointer), to(dv.pointer)]),
  ];
  runs[0]!();
  dotRows(
    engine.kernels,
    matrix(dy.pointer, T * heads, D),
    matrix(y.pointer, T * heads, D),
    0,
    to(delta.pointer),
  );
  for (const run of runs.slice(1)) run();
  const valuesOf = (tensor: Tensor): Float32Array => tensor.copyTo(new Float32Array(tensor.size));
  const whole = { ...sizes, starts: null };
  const read = { q: valuesOf(q), k: valuesOf(k), v: valuesOf(v), dy: valuesOf(dy) };
  const wanted = { y: attention(whole, read).y, ...attentionBackward(whole, read) };
  for (const [name, tensor] of Object.entries({ y, dq, dk, dv }))
    verifyClose(`${name}, ${shape}`, valuesOf(tensor), wanted[name as keyof typeof wanted]);
  const entries = ATTENTION_OPERATIONS.map((operation, i): Entry => {
    const flops = PRODUCTS[operation] * heads * D * T * (T + 1);
    return { rt, operation, shape, flops, run: runs[i]! };
  });
  const flops = FLOPS_A_TURN * CEILING_TURNS;
  const ceiling = { operation: 'ceiling', run: () => yardstick.multiplyAdds(CEILING_TURNS) };
  const rows = timedRows([...entries, { rt, shape, flops, ...ceiling }], quick ? QUICK : FULL, null);
  for (const tensor of [q, k, v, y, dy, dq, dk, dv, lse, delta]) tensor.dispose();
  const ceilings = rows.pop()!.rounds.map((ms) => gflopsOf(flops, ms));
  return rows.map((row) => besideCeilings(row, ceilings.slice(0, row.rounds.length)));
}

/**
 * Causal attention: operands as records, laid out as the kernels' bare numbers (which their tests call too), and cut into shares, as
 * the operation calls it. Work comes in panels of eight queries of a key head (`abi/transformer.ts`); a cut between two of them changes no bit.
 */
import type { Engine } from './engine.js';
import type { GradientVector } from './matrices.js';
import type { Span } from './operands.js';
import type { SharedWork } from './sharing.js';

/** Sizes of an attention. */
export interface AttentionShape {
  /** Rows of the batch. */
  readonly B: number;
  /** Queries of a row. */
  readonly T: number;
  /** Keys of a row, at least offset + T. */
  readonly S: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly D: number;
  readonly scale: number;
  /** Keys that a query sees at most; 0 for all. */
  readonly window: number;
  /** Number of the first query among the keys. */
  readonly offset: number;
}

/** Addresses of what attention reads. */
export interface AttentionInputs {
  readonly q: number;
  readonly k: number;
  readonly v: number;
  /** i32[B,T], or 0. */
  readonly starts: number;
}

const LANES = 8;
/** Shares of a thread: their lengths are estimates, and who is done sooner takes the next. */
const SHARES = 2;
const MOST_SHARES = 64;

const panelsOf = ({ T, heads, kvHeads }: AttentionShape): number => Math.ceil((T * heads) / kvHeads / LANES);

/** Keys that the last query of a panel sees, by the panel within its key head; what starts leave out is not known here. */
function keysOf({ T, heads, kvHeads, window, offset }: AttentionShape, panel: number): number {
  const group = heads / kvHeads;
  const t = Math.floor(Math.min(LANES * panel + LANES - 1, T * group - 1) / group);
  return window > 0 ? Math.min(offset + t + 1, window) : offset + t + 1;
}

/** Where to cut: ranges of pieces whose costs are nearly equal, at most `parts`. */
function cutEvenly({ units, costs, total }: Pieces, parts: number): [number, number][] {
  const count = units * costs.length;
  const ranges: [number, number][] = [];
  let [from, done] = [0, 0];
  for (let i = 0; i < count; i++) {
    done += costs[i % costs.length]!;
    if (i + 1 < count && done < (total * (ranges.length + 1)) / parts) continue;
    ranges.push([from, i + 1]);
    from = i + 1;
  }
  return ranges;
}

/** Pieces of work in a row: `units` times as many as there are costs. */
interface Pieces {
  readonly units: number;
  readonly costs: readonly number[];
  /** Of all pieces. */
  readonly total: number;
}

function piecesOf(units: number, count: number, costOf: (panel: number) => number): Pieces {
  const costs: number[] = [];
  let sum = 0;
  for (let panel = 0; panel < count; panel++) {
    const cost = costOf(panel);
    costs.push(cost);
    sum += cost;
  }
  return { units, costs, total: units * sum };
}

/** Panels of queries: of every key head of every row of the batch. */
function queryPanels(shape: AttentionShape): Pieces {
  return piecesOf(shape.B * shape.kvHeads, panelsOf(shape), (panel) => keysOf(shape, panel));
}

/** Panels of keys, which cost as many queries as see them. */
function keyPanels({ B, T, S, heads, kvHeads, window, offset }: AttentionShape): Pieces {
  return piecesOf(B * kvHeads, Math.ceil(S / LANES), (panel) => {
    const from = Math.max(0, LANES * panel - offset);
    const to = window > 0 ? Math.min(T, LANES * panel + LANES - 1 - offset + window) : T;
    return (heads / kvHeads) * (1 + Math.max(0, to - from));
  });
}

/** A kernel of attention with its operands laid out: the arguments for the panels `from` up to `to`. */
export interface PanelCall {
  readonly kernel: 'attentionForward' | 'attentionBackwardQueries' | 'attentionBackwardKeys';
  readonly panels: (from: number, to: number, scratch: number) => number[];
}

/** @param rest - the arguments behind the inputs */
function panelCall(
  kernel: PanelCall['kernel'],
  { T, S, heads, kvHeads, D, scale, window, offset }: AttentionShape,
  { q, k, v, starts }: AttentionInputs,
  rest: readonly number[],
): PanelCall {
  const sizes = [T, S, heads, kvHeads, D, scale, window, offset];
  return { kernel, panels: (from, to, scratch) => [from, to, ...sizes, q, k, v, starts, ...rest, scratch] };
}

/** @param lse - 0 where nobody will ask for a gradient */
export function forwardPanels(
  shape: AttentionShape,
  inputs: AttentionInputs,
  { y, lse }: { readonly y: number; readonly lse: number },
): PanelCall {
  return panelCall('attentionForward', shape, inputs, [y, lse]);
}

/** Addresses of what backward reads beside the inputs: lse and delta are [B,T,heads]. */
export interface AttentionSums {
  readonly lse: number;
  readonly dy: number;
  /** Σ dy·y of a head. */
  readonly delta: number;
}

export function queryPanelsBackward(
  shape: AttentionShape,
  inputs: AttentionInputs,
  { lse, dy, delta }: AttentionSums,
  dq: GradientVector,
): PanelCall {
  const rest = [lse, dy, delta, dq.accumulate, dq.pointer];
  return panelCall('attentionBackwardQueries', shape, inputs, rest);
}

/** Gradients of k and v, of which one may be null. */
export type KeyGradients = readonly [dk: GradientVector | null, dv: GradientVector | null];

export function keyPanelsBackward(
  shape: AttentionShape,
  inputs: AttentionInputs,
  { lse, dy, delta }: AttentionSums,
  to: KeyGradients,
): PanelCall {
  const places = to.flatMap((place) => [place?.accumulate ?? 0, place?.pointer ?? 0]);
  return panelCall('attentionBackwardKeys', shape, inputs, [lse, dy, delta, ...places]);
}

/** What a call is beside its arguments: which panels there are, how many products a panel's key costs, and where it writes. */
interface Job {
  readonly pieces: Pieces;
  readonly products: number;
  readonly scratch: number;
  outputs(): readonly Span[];
}

function runJob(engine: Engine, { D }: AttentionShape, { kernel, panels }: PanelCall, job: Job): void {
  const { pieces, products, outputs } = job;
  const work: SharedWork = {
    kernel,
    // A cost is that of one row of the other side, of which a panel's eight lanes each take D elements a product.
    flops: 2 * products * LANES * D * pieces.total,
    // Whole lines, so that the scratch of the next thread is aligned.
    bytes: Math.ceil(job.scratch / 64) * 64,
    outputs,
  };
  engine.sharing.run(
    work,
    (scratch) => panels(0, pieces.units * pieces.costs.length, scratch),
    (threads, scratch) =>
      cutEvenly(pieces, Math.min(SHARES * threads, MOST_SHARES)).map(([from, to]) =>
        panels(from, to, scratch),
      ),
  );
}

/** y = softmax(scale·q·kᵀ)·v; lse is null where nobody will ask for a gradient. @throws OutOfMemoryError, WorkerError */
export function attend(
  engine: Engine,
  shape: AttentionShape,
  inputs: AttentionInputs,
  { y, lse }: { y: Span; lse: Span | null },
): void {
  runJob(engine, shape, forwardPanels(shape, inputs, { y: y.pointer, lse: lse?.pointer ?? 0 }), {
    pieces: queryPanels(shape),
    products: 2,
    scratch: engine.kernels.attentionScratch(shape.S, shape.D),
    outputs: () => (lse === null ? [y] : [y, lse]),
  });
}

/** Gradient of q. @throws OutOfMemoryError, WorkerError */
export function attendBackwardQueries(
  engine: Engine,
  shape: AttentionShape,
  inputs: AttentionInputs,
  sums: AttentionSums,
  dq: GradientVector,
): void {
  const { B, T, S, heads, D } = shape;
  runJob(engine, shape, queryPanelsBackward(shape, inputs, sums, dq), {
    pieces: queryPanels(shape),
    products: 3,
    scratch: engine.kernels.attentionBackwardScratch(S, D),
    outputs: () => [{ pointer: dq.pointer, bytes: 4 * B * T * heads * D }],
  });
}

/** Gradients of k and v. @throws OutOfMemoryError, WorkerError */
export function attendBackwardKeys(
  engine: Engine,
  shape: AttentionShape,
  inputs: AttentionInputs,
  sums: AttentionSums,
  to: KeyGradients,
): void {
  const { B, T, S, kvHeads, D } = shape;
  const bytes = 4 * B * S * kvHeads * D;
  runJob(engine, shape, keyPanelsBackward(shape, inputs, sums, to), {
    pieces: keyPanels(shape),
    products: 4,
    scratch: engine.kernels.attentionBackwardScratch(T, D),
    outputs: () => to.flatMap((place) => (place === null ? [] : [{ pointer: place.pointer, bytes }])),
  });
}

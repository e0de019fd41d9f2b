/**
 * Causal attention as the operation calls it: operands as records, laid out as the kernels' bare numbers and cut into shares. Work
 * comes in panels of eight queries of a key head (`abi/transformer.ts`); a cut between two of them changes no bit.
 */
import type { Engine } from './engine.js';
import type { GradientVector } from './matrices.js';
import type { Span } from './operands.js';

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

/** What differs between the three kernels: which panels, how many products a panel's key costs, and where they write. */
interface Job {
  readonly kernel: 'attentionForward' | 'attentionBackwardQueries' | 'attentionBackwardKeys';
  readonly pieces: Pieces;
  readonly products: number;
  readonly scratch: number;
  readonly outputs: readonly Span[];
  /** The arguments behind the inputs. */
  readonly rest: readonly number[];
}

function runJob(engine: Engine, shape: AttentionShape, inputs: AttentionInputs, job: Job): void {
  const { T, S, heads, kvHeads, D, scale, window, offset } = shape;
  const { q, k, v, starts } = inputs;
  const { kernel, pieces, products, outputs, rest } = job;
  const sizes = [T, S, heads, kvHeads, D, scale, window, offset];
  const call = (from: number, to: number, scratch: number): number[] => {
    return [from, to, ...sizes, q, k, v, starts, ...rest, scratch];
  };
  engine.sharing.run({
    kernel,
    outputs,
    // A cost is that of one row of the other side, of which a panel's eight lanes each take D elements a product.
    flops: 2 * products * LANES * D * pieces.total,
    // Whole lines, so that the scratch of the next thread is aligned.
    bytes: Math.ceil(job.scratch / 64) * 64,
    whole: (scratch) => call(0, pieces.units * pieces.costs.length, scratch),
    shares: (threads, scratch) =>
      cutEvenly(pieces, Math.min(SHARES * threads, MOST_SHARES)).map(([from, to]) => call(from, to, scratch)),
  });
}

/** y = softmax(scale·q·kᵀ)·v; lse is null where nobody will ask for a gradient. @throws OutOfMemoryError, WorkerError */
export function attend(
  engine: Engine,
  shape: AttentionShape,
  inputs: AttentionInputs,
  { y, lse }: { y: Span; lse: Span | null },
): void {
  runJob(engine, shape, inputs, {
    kernel: 'attentionForward',
    pieces: queryPanels(shape),
    products: 2,
    scratch: engine.kernels.attentionScratch(shape.S, shape.D),
    outputs: lse === null ? [y] : [y, lse],
    rest: [y.pointer, lse?.pointer ?? 0],
  });
}

/** Addresses of what backward reads beside the inputs: lse and delta are [B,T,heads]. */
export interface AttentionSums {
  readonly lse: number;
  readonly dy: number;
  /** Σ dy·y of a head. */
  readonly delta: number;
}

/** Gradient of q. @throws OutOfMemoryError, WorkerError */
export function attendBackwardQueries(
  engine: Engine,
  shape: AttentionShape,
  inputs: AttentionInputs,
  { lse, dy, delta }: AttentionSums,
  dq: GradientVector,
): void {
  const { B, T, S, heads, D } = shape;
  runJob(engine, shape, inputs, {
    kernel: 'attentionBackwardQueries',
    pieces: queryPanels(shape),
    products: 3,
    scratch: engine.kernels.attentionBackwardScratch(S, D),
    outputs: [{ pointer: dq.pointer, bytes: 4 * B * T * heads * D }],
    rest: [lse, dy, delta, dq.accumulate, dq.pointer],
  });
}

/** Gradients of k and v, of which one may be null. @throws OutOfMemoryError, WorkerError */
export function attendBackwardKeys(
  engine: Engine,
  shape: AttentionShape,
  inputs: AttentionInputs,
  { lse, dy, delta }: AttentionSums,
  [dk, dv]: readonly [dk: GradientVector | null, dv: GradientVector | null],
): void {
  const { B, T, S, kvHeads, D } = shape;
  const bytes = 4 * B * S * kvHeads * D;
  const places = [dk, dv].flatMap((place) => (place === null ? [] : [{ pointer: place.pointer, bytes }]));
  runJob(engine, shape, inputs, {
    kernel: 'attentionBackwardKeys',
    pieces: keyPanels(shape),
    products: 4,
    scratch: engine.kernels.attentionBackwardScratch(T, D),
    outputs: places,
    rest: [lse, dy, delta, ...[dk, dv].flatMap((place) => [place?.accumulate ?? 0, place?.pointer ?? 0])],
  });
}

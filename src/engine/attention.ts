/**
 * Causal attention as the operation calls it: operands as records, laid out as the kernels' bare numbers and cut into shares. Work
 * comes in panels of eight queries of a key head (`abi/transformer.ts`); a cut between two of them changes no bit.
 */
import type { Engine } from './engine.js';
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

/** Where to cut: ranges of pieces whose costs are nearly equal, at most `parts`. @param cost - of a piece within its unit */
function cutEvenly(
  units: number,
  pieces: number,
  cost: (piece: number) => number,
  parts: number,
): [number, number][] {
  const costs = Array.from({ length: pieces }, (_, i) => cost(i));
  const total = units * costs.reduce((sum, one) => sum + one, 0);
  const ranges: [number, number][] = [];
  let [from, done] = [0, 0];
  for (let i = 0; i < units * pieces; i++) {
    done += costs[i % pieces]!;
    if (i + 1 < units * pieces && done < (total * (ranges.length + 1)) / parts) continue;
    ranges.push([from, i + 1]);
    from = i + 1;
  }
  return ranges;
}

/** Scratch of a share: whole lines, so that the next one's is aligned. @throws nothing; more than memory is refused by who allocates it */
const aligned = (bytes: number): number => Math.ceil(bytes / 64) * 64;

/** Operations of the products, of which there are `products`. */
function flopsOf(shape: AttentionShape, products: number): number {
  const { B, kvHeads, D } = shape;
  let keys = 0;
  for (let panel = 0; panel < panelsOf(shape); panel++) keys += keysOf(shape, panel) * LANES;
  return 2 * products * B * kvHeads * D * keys;
}

/** y = softmax(scale·q·kᵀ)·v; lse is an address, or 0. @throws OutOfMemoryError, WorkerError */
export function attend(
  engine: Engine,
  shape: AttentionShape,
  { q, k, v, starts }: AttentionInputs,
  { y, lse }: { y: Span; lse: Span },
): void {
  const { B, T, S, heads, kvHeads, D, scale, window, offset } = shape;
  const panels = panelsOf(shape);
  const call = (from: number, to: number, scratch: number): number[] => {
    const inputs = [q, k, v, starts];
    return [
      from,
      to,
      T,
      S,
      heads,
      kvHeads,
      D,
      scale,
      window,
      offset,
      ...inputs,
      y.pointer,
      lse.pointer,
      scratch,
    ];
  };
  engine.sharing.run({
    kernel: 'attentionForward',
    outputs: [y, lse],
    flops: flopsOf(shape, 2),
    bytes: aligned(engine.kernels.attentionScratch(S, D)),
    whole: (scratch) => call(0, B * kvHeads * panels, scratch),
    shares: (threads, scratch) =>
      cutEvenly(
        B * kvHeads,
        panels,
        (panel) => keysOf(shape, panel),
        Math.min(SHARES * threads, MOST_SHARES),
      ).map(([from, to]) => call(from, to, scratch)),
  });
}

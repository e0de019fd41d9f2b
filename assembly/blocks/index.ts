// Weights in the blocks of GGUF's quantised types, expanded to f32 with the bits of ggml's reference. The host guarantees rows of whole
// blocks. Whole runs of 32 elements go through small.ts and large.ts, what a cut leaves before and behind them through edges.ts. Called by
// weights.ts and by the packed product.
import { blockRow } from './edges';
import { largeRuns } from './large';
import { smallBlocks } from './small';
import { blockBytes, blockElements } from './types';

export { blockBytes, blockElements, isBlocks } from './types';

/** Elements of a run: a whole block, or an eighth of one. */
const RUN: i32 = 32;

/** out[i,j] = the elements of row i at w from element `from` on, `columns` of them; strides in bytes. */
export function expandBlocks(type: i32, rows: i32, columns: i32, w: usize, wStep: usize, from: i32, out: usize, outStep: usize): void {
  const end = from + columns;
  const first = min((from + RUN - 1) & ~(RUN - 1), end);
  const last = max(end & ~(RUN - 1), first);
  if (first > from) edges(type, rows, first - from, w, wStep, from, out, outStep);
  if (last > first) runs(type, rows, first, last, w, wStep, out + ((<usize>(first - from)) << 2), outStep);
  if (end > last) edges(type, rows, end - last, w, wStep, last, out + ((<usize>(last - from)) << 2), outStep);
}

function edges(type: i32, rows: i32, columns: i32, w: usize, wStep: usize, from: i32, out: usize, outStep: usize): void {
  for (let i = 0; i < rows; i++, w += wStep, out += outStep) blockRow(type, columns, w, from, out);
}

/** Whole runs from element `from` to below `end`. Blocks of a row follow one another, or where there are few, those of a column. */
function runs(type: i32, rows: i32, from: i32, end: i32, w: usize, wStep: usize, out: usize, outStep: usize): void {
  const elements = blockElements(type);
  const bytes = <usize>blockBytes(type);
  const each = end - from >= 4 * elements || rows === 1;
  if (!each) {
    for (; from < end; from += RUN, out += 4 * RUN) expandRun(type, rows, w, wStep, from, out, outStep, 32);
    return;
  }
  const block = w + <usize>(from / elements) * bytes;
  if (elements === RUN) {
    for (let i = 0; i < rows; i++) smallBlocks(type, (end - from) / RUN, block + <usize>i * wStep, bytes, out + <usize>i * outStep, 4 * RUN, 32);
    return;
  }
  for (let i = 0; i < rows; i++, w += wStep, out += outStep) {
    // Run j of every block, then the next: the first blocks lack those before `from`.
    for (let at = from, stop = min(end, from + elements); at < stop; at += RUN) {
      const count = (end - at + elements - 1) / elements;
      largeRuns(type, count, (at & 255) / RUN, w + <usize>(at / elements) * bytes, bytes, out + ((<usize>(at - from)) << 2), 1024, 32);
    }
  }
}

/** A run, from element `from` on, of `rows` rows; groups of eight elements go groupStep bytes apart, rows outStep. */
export function expandRun(type: i32, rows: i32, w: usize, wStep: usize, from: i32, out: usize, outStep: usize, groupStep: usize): void {
  const elements = blockElements(type);
  const block = w + <usize>(from / elements) * <usize>blockBytes(type);
  if (elements === RUN) smallBlocks(type, rows, block, wStep, out, outStep, groupStep);
  else largeRuns(type, rows, (from & 255) / RUN, block, wStep, out, outStep, groupStep);
}

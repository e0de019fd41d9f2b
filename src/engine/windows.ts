/**
 * Kernels over windows of images as the operations call them: sizes as a record, laid out here as the kernels' bare numbers.
 * Called by `ops`.
 */
import type { Kernels } from './abi.js';

type Pair = readonly [number, number];

/** Windows of KH·KW over C planes of H·W, with OH·OW places in each. */
export interface Windows {
  readonly C: number;
  readonly H: number;
  readonly W: number;
  readonly KH: number;
  readonly KW: number;
  readonly stride: Pair;
  readonly padding: Pair;
  readonly dilation: Pair;
  readonly OH: number;
  readonly OW: number;
}

type Arguments = [
  ...[number, number, number, number, number],
  ...[number, number, number, number],
  ...[number, number, number, number],
];

function argumentsOf({ C, H, W, KH, KW, stride, padding, dilation, OH, OW }: Windows): Arguments {
  return [C, H, W, KH, KW, ...stride, ...padding, ...dilation, OH, OW];
}

/** cols[OH·OW, C·KH·KW] of x[C,H,W]: zeros where a window reaches over the edge. */
export function columnsFrom(k: Kernels, windows: Windows, x: number, cols: number): void {
  k.im2col(...argumentsOf(windows), x, cols);
}

/** dx[C,H,W] += every element of cols at the place that it was taken from. */
export function addColumnsTo(k: Kernels, windows: Windows, cols: number, dx: number): void {
  k.col2im(...argumentsOf(windows), cols, dx);
}

/** y[C,OH,OW] = the largest of each window; indices, int32, its place in the plane, -1 for a window with nothing inside. */
export function maxPoolTo(
  k: Kernels,
  windows: Windows,
  { x, y, indices }: { x: number; y: number; indices: number },
): void {
  k.maxPool2dForward(...argumentsOf(windows), x, y, indices);
}

/** dx[plane, index] += dy. */
export function maxPoolGradient(
  k: Kernels,
  { C, H, W, OH, OW }: Windows,
  { indices, dy, dx }: { indices: number; dy: number; dx: number },
): void {
  k.maxPool2dBackward(C, H * W, OH * OW, indices, dy, dx);
}

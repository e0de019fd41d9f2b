/**
 * The sizes and checks of a convolution, and an image's columns (im2col): for every operation that convolves.
 */

import { addColumnsTo, columnsFrom, type Windows } from '../engine/windows.js';
import type { Runtime } from '../tensor/runtime.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkInteger, checkOptions, describe } from '../values/checks.js';
import type { WeightDType } from '../values/dtypes.js';
import { showShape } from '../values/shape.js';
import { checkTensors, checkWeight } from './check.js';
import { withExpanded } from './expanded.js';

/** A number for both directions, or [height, width]. */
export type Pair = number | readonly [number, number];

/** What `conv2d` takes beside x, weight and bias. */
export interface Conv2dOperationOptions {
  /** Steps of the window. Default 1. */
  readonly stride?: Pair;
  /** Zeros added on each side. Default 0. */
  readonly padding?: Pair;
  /** Distance between the window's elements. Default 1. */
  readonly dilation?: Pair;
  /** Groups of channels that do not see each other. Default 1. */
  readonly groups?: number;
}

/** Sizes of a convolution: B images of C channels, O outputs, windows of KH by KW, P = OH·OW positions. */
export interface ConvSizes extends Windows {
  readonly rt: Runtime;
  readonly B: number;
  readonly O: number;
  readonly groups: number;
  readonly P: number;
  /** Type of the weight's elements. The products read it as float32: of 16 bits it is expanded once a call. */
  readonly dtype: WeightDType;
  /** Outputs of one group. */
  readonly groupOutputs: number;
  /** Elements of one group's window, C/groups·KH·KW: the width of its part of a row of columns. */
  readonly groupColumns: number;
  /** Width of a whole row of columns, C·KH·KW. */
  readonly columns: number;
  /** [B, O, OH, OW], without B where x has none. */
  readonly outShape: readonly number[];
}

/** Both directions of an option. @throws TypeError, RangeError */
export function checkPair(where: string, value: Pair, low: number): readonly [number, number] {
  const pair = typeof value === 'number' ? [value, value] : value;
  if (!Array.isArray(pair) || pair.length !== 2)
    throw new TypeError(`${where} is ${describe(value)}, expected a number or [height, width]`);
  return [checkInteger(where, pair[0], low, 2 ** 31 - 1), checkInteger(where, pair[1], low, 2 ** 31 - 1)];
}

/** Sizes of the output of windows over [H, W]. @throws RangeError where no window fits */
export function windowPositions(
  where: string,
  size: readonly [number, number],
  kernel: readonly [number, number],
  stride: readonly [number, number],
  padding: readonly [number, number],
  dilation: readonly [number, number],
): [number, number] {
  const padded = size.map((n, i) => n + 2 * padding[i]!);
  const reach = kernel.map((n, i) => dilation[i]! * (n - 1) + 1);
  if (padded.some((n, i) => n < reach[i]!)) {
    throw new RangeError(
      `${where}: an image of ${showShape(size)} with its padding is ${showShape(padded)}, expected at least ${showShape(reach)}, the reach of the window`,
    );
  }
  const [h, w] = padded.map((n, i) => Math.floor((n - reach[i]!) / stride[i]!) + 1);
  return [h!, w!];
}

/** @throws TypeError, RangeError unless x is [B, C, H, W] or [C, H, W], weight [O, C/groups, KH, KW] and bias [O] */
export function checkConv2d(
  where: string,
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  options: Conv2dOperationOptions = {},
): ConvSizes {
  const rt = checkTensors(where, bias === null ? { x } : { x, bias });
  const dtype = checkWeight(where, weight, rt);
  checkOptions(where, options, ['stride', 'padding', 'dilation', 'groups']);
  const stride = checkPair(`${where}: stride`, options.stride ?? 1, 1);
  const padding = checkPair(`${where}: padding`, options.padding ?? 0, 0);
  const dilation = checkPair(`${where}: dilation`, options.dilation ?? 1, 1);
  const groups = checkInteger(`${where}: groups`, options.groups ?? 1, 1, 2 ** 31 - 1);
  if (weight.shape.length !== 4 || weight.size === 0)
    throw new RangeError(`${where}: weight is ${showShape(weight.shape)}, expected [out, in/groups, kh, kw]`);
  const [O, groupChannels, KH, KW] = weight.shape as [number, number, number, number];
  if (O % groups !== 0)
    throw new RangeError(`${where}: weight has ${O} outputs, expected a multiple of groups ${groups}`);
  const C = groupChannels * groups;
  const batched = x.shape.length === 4;
  if ((!batched && x.shape.length !== 3) || x.shape.at(-3) !== C) {
    throw new RangeError(
      `${where}: x is ${showShape(x.shape)}, expected [batch, ${C}, h, w] or [${C}, h, w]`,
    );
  }
  if (bias !== null && (bias.shape.length !== 1 || bias.shape[0] !== O))
    throw new RangeError(`${where}: bias is ${showShape(bias.shape)}, expected [${O}]`);
  const [H, W] = x.shape.slice(-2) as [number, number];
  const [OH, OW] = windowPositions(where, [H, W], [KH, KW], stride, padding, dilation);
  const B = batched ? x.shape[0]! : 1;
  const columns = C * KH * KW;
  return {
    ...{ rt, B, C, H, W, O, KH, KW, stride, padding, dilation, groups, OH, OW, P: OH * OW },
    dtype,
    ...{ groupOutputs: O / groups, groupColumns: columns / groups, columns },
    outShape: batched ? [B, O, OH, OW] : [O, OH, OW],
  };
}

/** cols[P, C·KH·KW] of the image `b` of a batch. */
export function imageColumns(sizes: ConvSizes, x: number, b: number, cols: number): void {
  const image = sizes.C * sizes.H * sizes.W * 4;
  columnsFrom(sizes.rt.engine.kernels, sizes, x + b * image, cols);
}

/** Adds cols[P, C·KH·KW] into the image `b` of a batch of gradients. */
export function addColumns(sizes: ConvSizes, cols: number, dx: number, b: number): void {
  const image = sizes.C * sizes.H * sizes.W * 4;
  addColumnsTo(sizes.rt.engine.kernels, sizes, cols, dx + b * image);
}

/** Gives `use` the address of the weight at `pointer` as float32. */
export function withWeight(s: ConvSizes, pointer: number, use: (weight: number) => void): void {
  withExpanded(s.rt, { pointer, dtype: s.dtype, from: 0, count: s.O * s.groupColumns }, use);
}

/** Runs `fn` with memory for one image's columns, released at the end. */
export function withColumns(sizes: ConvSizes, fn: (cols: number) => void): void {
  const { rt, P, columns } = sizes;
  const cols = rt.empty([P, columns], 'f32');
  try {
    fn(cols.pointer);
  } finally {
    cols.dispose();
  }
}

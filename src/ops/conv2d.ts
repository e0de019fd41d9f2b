/**
 * Two-dimensional convolution as a product over im2col, image by image, and its backward. The columns are made anew in
 * backward: they are KH·KW times as large as x. A bias is one more step of the product, a rank of 1 beside a row of ones.
 */
import {
  type LowRank,
  type Matrix,
  matrix,
  NO_RANK,
  type Weight,
  weight as weightOf,
} from '../engine/operands.js';
import type { GradTarget } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import {
  addColumns,
  type Conv2dOperationOptions,
  type ConvSizes,
  checkConv2d,
  imageColumns,
  withColumns,
  withWeight,
} from './conv-sizes.js';

export { type Conv2dOperationOptions, type ConvSizes, checkConv2d } from './conv-sizes.js';

/** One group of channels: its first output, and its operands by address. */
export interface ConvGroup {
  readonly group: number;
  /** Its first output channel. */
  readonly channel: number;
  /** [group outputs, P] of one image of [B, O, P]. */
  output(tensor: number): Matrix;
  /** [group outputs, group columns] of a weight. */
  weight(tensor: number): Matrix;
  /** The same columns of [P, columns], read as a weight. */
  columns(cols: number): Weight;
  /** [P, group columns] of [P, columns]. */
  columnsOut(cols: number): Matrix;
}

/** Calls `fn` for every group of an image. */
export function forEachGroup(s: ConvSizes, image: number, fn: (group: ConvGroup) => void): void {
  const { O, P, groupOutputs, groupColumns, columns } = s;
  for (let group = 0; group < s.groups; group++) {
    const channel = group * groupOutputs;
    const at = 4 * group * groupColumns;
    fn({
      group,
      channel,
      output: (tensor) => matrix(tensor + 4 * (image * O + channel) * P, groupOutputs, P),
      weight: (tensor) => matrix(tensor + 4 * channel * groupColumns, groupOutputs, groupColumns),
      columns: (cols) => weightOf(cols + at, P, groupColumns, 'f32', columns),
      columnsOut: (cols) => matrix(cols + at, P, groupColumns, columns),
    });
  }
}

/** y = W·colsᵀ of one image, group by group; `low` gives the low-rank part of a group. */
export function convolve(
  s: ConvSizes,
  image: number,
  { weight, cols, y }: { readonly weight: number; readonly cols: number; readonly y: number },
  low: (group: ConvGroup) => LowRank,
): void {
  forEachGroup(s, image, (group) => {
    const [x, w, to] = [group.weight(weight), group.columns(cols), group.output(y)];
    s.rt.engine.products.forward({ x, w, low: low(group), colScale: 0, bias: 0, y: to });
  });
}

/**
 * y = x ⋆ weight + bias, the cross-correlation that PyTorch calls a convolution.
 * @param x - [batch, in, h, w] or [in, h, w] float32
 * @param weight - [out, in/groups, kh, kw]; one of f16 or bf16 is expanded to float32 for the time of the call
 * @param bias - [out] or null
 * @returns [batch, out, oh, ow] (without batch where x has none), oh = ⌊(h + 2·padding - dilation·(kh - 1) - 1) / stride⌋ + 1
 * @throws TypeError, RangeError
 * @example
 * const y = conv2d(rt.normal([1, 3, 8, 8]), rt.normal([4, 3, 3, 3]), null, { padding: 1 }); // [1, 4, 8, 8]
 */
export function conv2d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  options: Conv2dOperationOptions = {},
): Tensor {
  return conv2dAs('conv2d', x, weight, bias, options);
}

/** The same for a layer, which errors then name. */
export function conv2dAs(
  where: string,
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  options: Conv2dOperationOptions,
): Tensor {
  const s = checkConv2d(where, x, weight, bias, options);
  const { rt, B, P, groupOutputs } = s;
  return rt.attempt(() => {
    const y = rt.empty(s.outShape, 'f32');
    const ones = bias === null ? null : rt.full([P], 1);
    const low = ({ channel }: ConvGroup): LowRank => {
      if (bias === null || ones === null) return NO_RANK;
      return { left: matrix(bias.pointer + 4 * channel, groupOutputs, 1), right: matrix(ones.pointer, P, 1) };
    };
    withWeight(s, weight.pointer, (w) =>
      withColumns(s, (cols) => {
        for (let image = 0; image < B; image++) {
          imageColumns(s, x.pointer, image, cols);
          convolve(s, image, { weight: w, cols, y: y.pointer }, low);
        }
      }),
    );
    ones?.dispose();
    return rt.record(y, {
      name: where,
      inputs: { x, weight, bias },
      keep: { x: weight.requiresGrad ? x : null, weight: x.requiresGrad ? weight : null },
      backward({ dy, at, grad }) {
        const dw = grad('weight');
        if (dw !== null) convWeightGradient(s, { dy: dy.pointer, x: at('x') }, dw);
        const db = grad('bias');
        if (db !== null) convBiasGradient(s, dy.pointer, db);
        const dx = grad('x');
        if (dx !== null)
          withWeight(s, at('weight'), (w) => convInputGradient(s, { dy: dy.pointer, weight: w }, dx));
      },
    });
  });
}

/** dW (+)= Σ over images dy·cols. */
function convWeightGradient(s: ConvSizes, { dy, x }: { dy: number; x: number }, dw: GradTarget): void {
  const { products, kernels } = s.rt.engine;
  if (s.B === 0 && dw.accumulate === 0) kernels.fill(s.O * s.groupColumns, 0, dw.pointer);
  withColumns(s, (cols) => {
    for (let image = 0; image < s.B; image++) {
      imageColumns(s, x, image, cols);
      forEachGroup(s, image, (group) => {
        const accumulate = image > 0 ? 1 : dw.accumulate;
        const [from, w, dx] = [group.output(dy), group.columns(cols), group.weight(dw.pointer)];
        products.backwardInput({ dy: from, w, low: NO_RANK, accumulate, dx });
      });
    }
  });
}

/** db (+)= the sums of dy over images and positions, in float64. */
export function convBiasGradient(s: ConvSizes, dy: number, db: GradTarget): void {
  const { kernels } = s.rt.engine;
  const values = s.rt.engine.f32();
  for (let o = 0; o < s.O; o++) {
    let total = 0;
    for (let b = 0; b < s.B; b++) total += kernels.sum(s.P, dy + (b * s.O + o) * s.P * 4);
    const at = db.pointer / 4 + o;
    values[at] = db.accumulate === 1 ? values[at]! + total : total;
  }
}

/** dx (+)= dcols folded back onto the image, dcols = dyᵀ·W. */
export function convInputGradient(
  s: ConvSizes,
  { dy, weight }: { dy: number; weight: number },
  dx: GradTarget,
): void {
  const { products, kernels } = s.rt.engine;
  if (dx.accumulate === 0) kernels.fill(s.B * s.C * s.H * s.W, 0, dx.pointer);
  withColumns(s, (cols) => {
    for (let image = 0; image < s.B; image++) {
      forEachGroup(s, image, (group) => {
        const [from, x, dw] = [group.output(dy), group.weight(weight), group.columnsOut(cols)];
        products.backwardWeight({ dy: from, x, accumulate: 0, dw });
      });
      addColumns(s, cols, dx.pointer, image);
    }
  });
}

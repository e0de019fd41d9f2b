/**
 * Two-dimensional convolution as a product over im2col, image by image, and its backward. The columns are made anew in
 * backward: they are KH·KW times as large as x. A bias is one more step of the product, a rank of 1 beside a row of ones.
 */
import type { BackwardContext } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import {
  addColumns,
  type Conv2dOperationOptions,
  type ConvSizes,
  checkConv2d,
  imageColumns,
  withColumns,
} from './conv-sizes.js';

export { type Conv2dOperationOptions, type ConvSizes, checkConv2d } from './conv-sizes.js';

/** Calls `fn` for every image and group, with the offsets in bytes of the group's outputs, weights and columns. */
export function forEachGroup(
  s: ConvSizes,
  b: number,
  fn: (output: number, weight: number, column: number, channel: number) => void,
): void {
  for (let g = 0; g < s.groups; g++) {
    const channel = g * s.groupOutputs;
    fn((b * s.O + channel) * s.P * 4, channel * s.groupColumns * 4, g * s.groupColumns * 4, channel * 4);
  }
}

/**
 * y = x ⋆ weight + bias, the cross-correlation that PyTorch calls a convolution.
 * @param x - [batch, in, h, w] or [in, h, w] float32
 * @param weight - [out, in/groups, kh, kw]
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
  const { rt, B, P, groupOutputs, groupColumns, columns } = s;
  const { products } = rt.engine;
  return rt.attempt(() => {
    const y = rt.empty(s.outShape, 'f32');
    const ones = bias === null ? null : rt.full([P], 1);
    withColumns(s, (cols) => {
      for (let b = 0; b < B; b++) {
        imageColumns(s, x.pointer, b, cols);
        forEachGroup(s, b, (output, w, column, channel) => {
          products.forward(
            ...([groupOutputs, P, groupColumns, ones === null ? 0 : 1] as const),
            ...([weight.pointer + w, groupColumns, cols + column, columns] as const),
            ...([bias === null ? 0 : bias.pointer + channel, 1, ones?.pointer ?? 0, 1] as const),
            ...([0, 0, y.pointer + output, P] as const),
          );
        });
      }
    });
    ones?.dispose();
    const [xs, ws] = [x.storage, weight.storage];
    const [xo, wo] = [x.offset, weight.offset];
    return rt.record(y, {
      name: where,
      inputs: [x, weight, bias],
      saved: [...(weight.requiresGrad ? [x] : []), ...(x.requiresGrad ? [weight] : [])],
      backward: (context) => {
        if (context.wants(1)) backwardConvWeight(s, context, 1, xs.pointer + xo);
        backwardConvBias(s, context, 2);
        if (context.wants(0)) backwardConvInput(s, context, 0, ws.pointer + wo);
      },
    });
  });
}

/** Gradient of the weight, input `i`: dW = Σ over images dy·cols. */
export function backwardConvWeight(s: ConvSizes, context: BackwardContext, i: number, x: number): void {
  const { products, kernels } = s.rt.engine;
  const dw = context.target(i);
  if (dw === null) return;
  if (s.B === 0 && dw.accumulate === 0) kernels.fill(s.O * s.groupColumns, 0, dw.pointer);
  withColumns(s, (cols) => {
    for (let b = 0; b < s.B; b++) {
      imageColumns(s, x, b, cols);
      forEachGroup(s, b, (output, w, column) => {
        products.backwardInput(
          ...([s.groupOutputs, s.P, s.groupColumns, 0] as const),
          ...([context.dy.pointer + output, s.P, cols + column, s.columns, 0, 0, 0, 0] as const),
          ...([b > 0 ? 1 : dw.accumulate, dw.pointer + w, s.groupColumns] as const),
        );
      });
    }
  });
}

/** Gradient of the bias, input `i`: the sums of dy over images and positions, in float64. */
export function backwardConvBias(s: ConvSizes, context: BackwardContext, i: number): void {
  const db = context.target(i);
  if (db === null) return;
  const { kernels } = s.rt.engine;
  const values = s.rt.engine.f32();
  for (let o = 0; o < s.O; o++) {
    let total = 0;
    for (let b = 0; b < s.B; b++) total += kernels.sum(s.P, context.dy.pointer + (b * s.O + o) * s.P * 4);
    const at = db.pointer / 4 + o;
    values[at] = db.accumulate === 1 ? values[at]! + total : total;
  }
}

/** Gradient of x, input `i`: dcols = dyᵀ·W, folded back onto the image. */
export function backwardConvInput(s: ConvSizes, context: BackwardContext, i: number, weight: number): void {
  const { products, kernels } = s.rt.engine;
  const dx = context.target(i);
  if (dx === null) return;
  if (dx.accumulate === 0) kernels.fill(s.B * s.C * s.H * s.W, 0, dx.pointer);
  withColumns(s, (cols) => {
    for (let b = 0; b < s.B; b++) {
      forEachGroup(s, b, (output, w, column) => {
        products.backwardWeight(
          ...([s.groupOutputs, s.P, s.groupColumns] as const),
          ...([context.dy.pointer + output, s.P, weight + w, s.groupColumns] as const),
          ...([0, cols + column, s.columns] as const),
        );
      });
      addColumns(s, cols, dx.pointer, b);
    }
  });
}

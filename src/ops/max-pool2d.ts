/** Max pooling over images; the place of each largest element is kept for backward. */

import { maxPoolGradient, maxPoolTo } from '../engine/windows.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkOptions } from '../values/checks.js';
import { showShape } from '../values/shape.js';
import { checkTensors } from './check.js';
import { checkPair, type Pair, windowPositions } from './conv-sizes.js';

/** What `maxPool2d` takes beside x and the window. */
export interface MaxPool2dOptions {
  /** Steps of the window. Default: the window's size. */
  readonly stride?: Pair;
  /** Border that never wins, at most half of the window's reach. Default 0. */
  readonly padding?: Pair;
  /** Distance between the window's elements. Default 1. */
  readonly dilation?: Pair;
}

/** Options of a pooling, each as [height, width]. */
export interface PoolWindow {
  readonly kernelSize: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
}

/** @throws TypeError, RangeError */
export function checkMaxPool2d(where: string, kernelSize: Pair, options: MaxPool2dOptions): PoolWindow {
  checkOptions(where, options, ['stride', 'padding', 'dilation']);
  const kernel = checkPair(`${where}: kernelSize`, kernelSize, 1);
  const stride = checkPair(`${where}: stride`, options.stride ?? kernel, 1);
  const padding = checkPair(`${where}: padding`, options.padding ?? 0, 0);
  const dilation = checkPair(`${where}: dilation`, options.dilation ?? 1, 1);
  const most = kernel.map((n, i) => Math.floor((dilation[i]! * (n - 1) + 1) / 2));
  if (padding.some((n, i) => n > most[i]!))
    throw new RangeError(
      `${where}: padding is ${showShape(padding)}, expected at most ${showShape(most)}, half of the window's reach`,
    );
  return { kernelSize: kernel, stride, padding, dilation };
}

/**
 * The largest element of each window; NaN where there is one.
 * @param x - [..., h, w] float32, with one or two dimensions before h
 * @param kernelSize - size of the window
 * @returns [..., oh, ow], oh = ⌊(h + 2·padding - dilation·(kh - 1) - 1) / stride⌋ + 1
 * @throws TypeError, RangeError
 * @example
 * const y = maxPool2d(rt.normal([1, 3, 8, 8]), 2); // [1, 3, 4, 4]
 */
export function maxPool2d(x: Tensor, kernelSize: Pair, options: MaxPool2dOptions = {}): Tensor {
  return maxPool2dAs('maxPool2d', x, kernelSize, options);
}

/** The same for a layer, which errors then name. */
export function maxPool2dAs(where: string, x: Tensor, kernelSize: Pair, options: MaxPool2dOptions): Tensor {
  const rt = checkTensors(where, { x });
  const { kernelSize: kernel, stride, padding, dilation } = checkMaxPool2d(where, kernelSize, options);
  if (x.shape.length !== 3 && x.shape.length !== 4)
    throw new RangeError(
      `${where}: x is ${showShape(x.shape)}, expected [batch, channels, h, w] or [channels, h, w]`,
    );
  const [H, W] = x.shape.slice(-2) as [number, number];
  const [OH, OW] = windowPositions(where, [H, W], kernel, stride, padding, dilation);
  const leading = x.shape.slice(0, -2);
  const planes = leading.reduce((product, dim) => product * dim, 1);
  const { kernels } = rt.engine;
  return rt.attempt(() => {
    const y = rt.empty([...leading, OH, OW], 'f32');
    const indices = rt.empty(y.shape, 'i32');
    const [KH, KW] = kernel;
    const windows = { C: planes, H, W, KH, KW, stride, padding, dilation, OH, OW };
    maxPoolTo(kernels, windows, { x: x.pointer, y: y.pointer, indices: indices.pointer });
    rt.record(y, {
      name: where,
      inputs: { x },
      keep: { indices },
      backward({ dy, at, grad }) {
        const dx = grad('x');
        if (dx === null) return;
        if (dx.accumulate === 0) kernels.fill(planes * H * W, 0, dx.pointer);
        maxPoolGradient(kernels, windows, { indices: at('indices'), dy: dy.pointer, dx: dx.pointer });
      },
    });
    indices.dispose();
    return y;
  });
}

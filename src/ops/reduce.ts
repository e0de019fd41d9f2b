/** Sums and means, the same elements in another shape, and the largest of each row. */

import { argmaxOf, softmaxGradient, softmaxTo } from '../engine/classes.js';
import { gradientMatrix } from '../engine/matrices.js';
import { matrix } from '../engine/operands.js';
import { Tensor } from '../tensor/tensor.js';
import { checkBoolean, checkInteger, checkOptions, describe } from '../values/checks.js';
import { checkRows, checkShape, type Shape, showShape, sizeOf } from '../values/shape.js';
import { asRows, checkTensors } from './check.js';

function scaledSum(name: string, x: Tensor, s: number): Tensor {
  const rt = checkTensors(name, { x });
  const { kernels } = rt.engine;
  const y = rt.full([], kernels.sum(x.size, x.pointer) * s);
  return rt.record(y, {
    name,
    inputs: { x },
    keep: {},
    backward({ dy, grad }) {
      const dx = grad('x');
      if (dx === null) return;
      const value = dy.item() * s;
      if (dx.accumulate === 1) kernels.addScalar(x.size, value, dx.pointer);
      else kernels.fill(x.size, value, dx.pointer);
    },
  });
}

/** The sum of all elements, a scalar. @throws TypeError */
export function sum(x: Tensor): Tensor {
  return scaledSum('sum', x, 1);
}

/** What `mean` takes beside x and the axes. */
export interface MeanOptions {
  /** Whether the dimensions that were averaged stay, as 1. Default false. */
  readonly keepDims?: boolean;
}

/**
 * The mean over some dimensions, or over all elements.
 * @param axes - dimensions, negative ones counted from the end; without any, all of them
 * @throws TypeError, RangeError for no elements
 * @example
 * const pooled = mean(rt.normal([2, 5, 8]), 1); // [2, 8]
 */
export function mean(x: Tensor, axes: number | readonly number[] = [], options: MeanOptions = {}): Tensor {
  checkTensors('mean', { x });
  checkOptions('mean', options, ['keepDims']);
  const keepDims = checkBoolean('mean: keepDims', options.keepDims ?? false);
  const dims = checkAxes('mean', x, axes);
  const over = dims.reduce((product, axis) => product * x.shape[axis]!, 1);
  if (over === 0) throw new RangeError(`mean: x is ${showShape(x.shape)}, expected at least one element`);
  const shape = x.shape.flatMap((dim, axis) => (dims.includes(axis) ? (keepDims ? [1] : []) : [dim]));
  if (dims.length === x.shape.length && !keepDims) return scaledSum('mean', x, 1 / x.size);
  return x.runtime.attempt(() => {
    let y = x;
    // Neighbouring axes are one; the mean over several runs of axes is a mean of means, each over as many elements.
    for (let end = dims.length; end > 0; ) {
      let start = end - 1;
      while (start > 0 && dims[start - 1] === dims[start]! - 1) start--;
      const run = meanOfRun(y, dims[start]!, dims[end - 1]!, start === 0 ? shape : null);
      if (y !== x) y.dispose();
      y = run;
      end = start;
    }
    return y;
  });
}

/** Axes counted from 0, in order; all of them where none are given. @throws TypeError, RangeError */
function checkAxes(where: string, x: Tensor, axes: number | readonly number[]): number[] {
  const given = typeof axes === 'number' ? [axes] : axes;
  if (!Array.isArray(given))
    throw new TypeError(`${where}: axes is ${describe(axes)}, expected a number or an array of them`);
  const rank = x.shape.length;
  if (given.length === 0) return x.shape.map((_, axis) => axis);
  // A copy, in which a hole is undefined.
  const counted = [...given].map((axis: number) => {
    checkInteger(`${where}: an axis of ${showShape(x.shape)}`, axis, -rank, rank - 1);
    return axis < 0 ? axis + rank : axis;
  });
  if (new Set(counted).size !== counted.length)
    throw new RangeError(`${where}: axes is ${describe(given)}, expected each dimension once`);
  return counted.sort((a, b) => a - b);
}

/** The mean over the dimensions `first` to `last`, which become 1, or the whole `shape`. */
function meanOfRun(x: Tensor, first: number, last: number, shape: Shape | null): Tensor {
  const rt = x.runtime;
  const { kernels } = rt.engine;
  const outer = sizeOf(x.shape.slice(0, first));
  const n = sizeOf(x.shape.slice(first, last + 1));
  const inner = sizeOf(x.shape.slice(last + 1));
  const ones = x.shape.map((dim, axis) => (axis >= first && axis <= last ? 1 : dim));
  const y = rt.empty(shape ?? ones, 'f32');
  kernels.sumMiddle(outer, n, inner, 1 / n, x.pointer, y.pointer);
  return rt.record(y, {
    name: 'mean',
    inputs: { x },
    keep: {},
    backward({ dy, grad }) {
      const dx = grad('x');
      if (dx !== null) kernels.spreadMiddle(outer, n, inner, 1 / n, dy.pointer, dx.accumulate, dx.pointer);
    },
  });
}

/**
 * The same elements in another shape, without a copy. One dimension may be -1: it follows from the others.
 * @throws TypeError, RangeError
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  if (!(x instanceof Tensor)) throw new TypeError(`reshape: x is ${describe(x)}, expected a Tensor`);
  const rt = checkTensors('reshape', { x }, x.dtype);
  let wanted = shape;
  if (Array.isArray(shape) && shape.filter((dim) => dim === -1).length === 1) {
    const rest = shape.reduce((product: number, dim: number) => (dim === -1 ? product : product * dim), 1);
    wanted = shape.map((dim: number) => (dim === -1 ? x.size / rest : dim));
    if (!Number.isInteger(x.size / rest)) {
      throw new RangeError(
        `reshape: x is ${showShape(x.shape)}, expected a multiple of ${rest} elements for ${showShape(shape)}`,
      );
    }
  }
  const dims = checkShape('reshape', wanted);
  if (sizeOf(dims) !== x.size) {
    throw new RangeError(
      `reshape: x is ${showShape(x.shape)} with ${x.size} elements, expected ${sizeOf(dims)} for ${showShape(dims)}`,
    );
  }
  checkRows('reshape', dims, x.dtype);
  const y = rt.adopt(new Tensor(rt, x.storage.retain(), x.offset, dims, x.dtype));
  return rt.record(y, {
    name: 'reshape',
    inputs: { x },
    keep: {},
    backward: ({ dy, pass }) => pass(dy, 'x'),
  });
}

/**
 * Index of the first largest element along the last dimension.
 * @param x - [..., n] float32, n from 1 up
 * @returns [...] int32
 * @throws TypeError, RangeError
 */
export function argmax(x: Tensor): Tensor {
  const rt = checkTensors('argmax', { x });
  const { rows, cols } = asRows('argmax', 'x', x);
  if (cols === 0) throw new RangeError(`argmax: x is ${showShape(x.shape)}, expected at least one column`);
  const y = rt.empty(x.shape.slice(0, -1), 'i32');
  argmaxOf(rt.engine.kernels, matrix(x.pointer, rows, cols), y.pointer);
  return y;
}

/** Softmax along the last dimension; stable for any finite values. @param x - [..., n] @throws TypeError, RangeError */
export function softmax(x: Tensor): Tensor {
  const rt = checkTensors('softmax', { x });
  const { kernels } = rt.engine;
  const { rows, cols } = asRows('softmax', 'x', x);
  const y = rt.empty(x.shape, 'f32');
  softmaxTo(kernels, matrix(x.pointer, rows, cols), matrix(y.pointer, rows, cols));
  return rt.record(y, {
    name: 'softmax',
    inputs: { x },
    keep: { y },
    backward({ dy, at, grad }) {
      const dx = grad('x');
      if (dx === null) return;
      const [from, of] = [matrix(at('y'), rows, cols), matrix(dy.pointer, rows, cols)];
      softmaxGradient(kernels, from, of, gradientMatrix(dx, rows, cols));
    },
  });
}

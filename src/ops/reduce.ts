/** Sums and means over all elements, the same elements in another shape, and the largest of each row. */
import { describe } from '../runtime/errors.js';
import { checkShape, type Shape, showShape, sizeOf } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';
import { asRows, checkTensors } from './check.js';

function scaledSum(name: string, x: Tensor, s: number): Tensor {
  const rt = checkTensors(name, { x });
  const { kernels } = rt.engine;
  const y = rt.full([], kernels.sum(x.size, x.pointer) * s);
  return rt.record(y, {
    name,
    inputs: [x],
    saved: [],
    backward: ({ dy, target }) => {
      const dx = target(0);
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

/** The mean of all elements, a scalar. @throws TypeError, RangeError for no elements */
export function mean(x: Tensor): Tensor {
  if (x instanceof Tensor && x.size === 0)
    throw new RangeError(`mean: x is ${showShape(x.shape)}, expected at least one element`);
  return scaledSum('mean', x, 1 / x.size);
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
  const y = rt.adopt(new Tensor(rt, x.storage.retain(), x.offset, dims, x.dtype));
  return rt.record(y, { name: 'reshape', inputs: [x], saved: [], backward: ({ dy, pass }) => pass(0, dy) });
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
  rt.engine.kernels.argmaxRows(rows, cols, x.pointer, cols, y.pointer);
  return y;
}

/** Softmax along the last dimension; stable for any finite values. @param x - [..., n] @throws TypeError, RangeError */
export function softmax(x: Tensor): Tensor {
  const rt = checkTensors('softmax', { x });
  const { kernels } = rt.engine;
  const { rows, cols } = asRows('softmax', 'x', x);
  const y = rt.empty(x.shape, 'f32');
  kernels.softmaxForward(rows, cols, x.pointer, cols, y.pointer, cols);
  const { storage, offset } = y;
  return rt.record(y, {
    name: 'softmax',
    inputs: [x],
    saved: [y],
    backward: ({ dy, target }) => {
      const dx = target(0);
      if (dx === null) return;
      kernels.softmaxBackward(
        rows,
        cols,
        storage.pointer + offset,
        cols,
        dy.pointer,
        cols,
        dx.accumulate,
        dx.pointer,
        cols,
      );
    },
  });
}

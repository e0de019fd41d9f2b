/** Element-wise operations of tensors of one shape. */

import type { Tensor } from '../tensor/tensor.js';
import { describe } from '../values/checks.js';
import { checkSameShape, checkTensors } from './check.js';

/** y = a + b, of one shape. @throws TypeError, RangeError */
export function add(a: Tensor, b: Tensor): Tensor {
  const rt = checkTensors('add', { a, b });
  checkSameShape('add', 'a', a, 'b', b);
  const y = rt.empty(a.shape, 'f32');
  rt.engine.kernels.add(y.size, a.pointer, b.pointer, y.pointer);
  return rt.record(y, {
    name: 'add',
    inputs: { a, b },
    keep: {},
    backward({ dy, pass }) {
      pass(dy, 'a');
      pass(dy, 'b');
    },
  });
}

/** y = a - b, of one shape. @throws TypeError, RangeError */
export function sub(a: Tensor, b: Tensor): Tensor {
  const rt = checkTensors('sub', { a, b });
  checkSameShape('sub', 'a', a, 'b', b);
  const { kernels } = rt.engine;
  const y = rt.empty(a.shape, 'f32');
  kernels.sub(y.size, a.pointer, b.pointer, y.pointer);
  return rt.record(y, {
    name: 'sub',
    inputs: { a, b },
    keep: {},
    backward({ dy, pass, grad }) {
      pass(dy, 'a');
      const db = grad('b');
      if (db === null) return;
      if (db.accumulate === 1) kernels.axpy(dy.size, -1, dy.pointer, db.pointer);
      else kernels.scale(dy.size, -1, dy.pointer, db.pointer);
    },
  });
}

/** y = a ⊙ b, of one shape. @throws TypeError, RangeError */
export function mul(a: Tensor, b: Tensor): Tensor {
  const rt = checkTensors('mul', { a, b });
  checkSameShape('mul', 'a', a, 'b', b);
  const { kernels } = rt.engine;
  const y = rt.empty(a.shape, 'f32');
  kernels.mul(y.size, a.pointer, b.pointer, y.pointer);
  return rt.record(y, {
    name: 'mul',
    inputs: { a, b },
    keep: { a: b.requiresGrad ? a : null, b: a.requiresGrad ? b : null },
    backward({ dy, at, grad }) {
      for (const one of ['a', 'b'] as const) {
        const place = grad(one);
        if (place === null) continue;
        const other = one === 'a' ? 'b' : 'a';
        if (place.accumulate === 1) kernels.mulAdd(dy.size, 1, dy.pointer, at(other), place.pointer);
        else kernels.mul(dy.size, dy.pointer, at(other), place.pointer);
      }
    },
  });
}

/** y = s·x for a number s. @throws TypeError */
export function scale(x: Tensor, s: number): Tensor {
  const rt = checkTensors('scale', { x });
  if (typeof s !== 'number') throw new TypeError(`scale: s is ${describe(s)}, expected a number`);
  const { kernels } = rt.engine;
  const y = rt.empty(x.shape, 'f32');
  kernels.scale(y.size, s, x.pointer, y.pointer);
  return rt.record(y, {
    name: 'scale',
    inputs: { x },
    keep: {},
    backward({ dy, grad }) {
      const dx = grad('x');
      if (dx === null) return;
      if (dx.accumulate === 1) kernels.axpy(dy.size, s, dy.pointer, dx.pointer);
      else kernels.scale(dy.size, s, dy.pointer, dx.pointer);
    },
  });
}

/** y = max(x, 0). @throws TypeError */
export function relu(x: Tensor): Tensor {
  return reluAs('relu', x);
}

/** The same for a layer, which errors then name. */
export function reluAs(where: string, x: Tensor): Tensor {
  const rt = checkTensors(where, { x });
  const { kernels } = rt.engine;
  const y = rt.empty(x.shape, 'f32');
  kernels.reluForward(y.size, x.pointer, y.pointer);
  return rt.record(y, {
    name: where,
    inputs: { x },
    keep: { y },
    backward({ dy, at, grad }) {
      const dx = grad('x');
      if (dx !== null) kernels.reluBackward(dy.size, at('y'), dy.pointer, dx.accumulate, dx.pointer);
    },
  });
}

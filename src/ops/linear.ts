/** The linear operation y = x·Wᵀ + b and its backward; frozen weights cost nothing there. */
import type { Runtime } from '../tensor/runtime.js';
import { showShape } from '../tensor/shape.js';
import type { BackwardContext } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import { asRows, checkTensors } from './check.js';

/** Sizes of a linear product: M rows of x, N outputs, K inputs. */
export interface LinearSizes {
  readonly rt: Runtime;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** @throws TypeError, RangeError unless x is [..., K], weight [N, K] and bias [N] */
export function checkLinear(where: string, x: Tensor, weight: Tensor, bias: Tensor | null): LinearSizes {
  const rt = checkTensors(where, bias === null ? { x, weight } : { x, weight, bias });
  if (weight.shape.length !== 2)
    throw new RangeError(`${where}: weight is ${showShape(weight.shape)}, expected [out, in]`);
  const [N, K] = weight.shape as [number, number];
  if (x.shape.at(-1) !== K)
    throw new RangeError(`${where}: x is ${showShape(x.shape)}, expected [..., ${K}]`);
  if (bias !== null && (bias.shape.length !== 1 || bias.shape[0] !== N)) {
    throw new RangeError(`${where}: bias is ${showShape(bias.shape)}, expected [${N}]`);
  }
  return { rt, M: asRows(where, 'x', x).rows, N, K };
}

/** Gradients of the weight (input `i`) and the bias (input `i + 1`), where they are wanted. */
export function backwardWeightAndBias(
  sizes: LinearSizes,
  context: BackwardContext,
  i: number,
  xPointer: number,
): void {
  const { rt, M, N, K } = sizes;
  const dw = context.target(i);
  if (dw !== null)
    rt.engine.products.backwardWeight(
      M,
      N,
      K,
      context.dy.pointer,
      N,
      xPointer,
      K,
      dw.accumulate,
      dw.pointer,
      K,
    );
  const db = context.target(i + 1);
  if (db !== null) rt.engine.kernels.sumRows(M, N, context.dy.pointer, N, db.accumulate, db.pointer);
}

/**
 * y = x·Wᵀ + b.
 * @param x - [..., in] float32
 * @param weight - [out, in]
 * @param bias - [out] or null
 * @returns [..., out]
 * @throws TypeError, RangeError
 */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null = null, where = 'linear'): Tensor {
  const sizes = checkLinear(where, x, weight, bias);
  const { rt, M, N, K } = sizes;
  const y = rt.empty([...x.shape.slice(0, -1), N], 'f32');
  rt.engine.products.forward(
    M,
    N,
    K,
    0,
    x.pointer,
    K,
    weight.pointer,
    K,
    0,
    0,
    0,
    0,
    0,
    bias?.pointer ?? 0,
    y.pointer,
    N,
  );
  const [xs, ws] = [x.storage, weight.storage];
  const [xo, wo] = [x.offset, weight.offset];
  return rt.record(y, {
    name: where,
    inputs: [x, weight, bias],
    saved: [...(weight.requiresGrad ? [x] : []), ...(x.requiresGrad ? [weight] : [])],
    backward: (context) => {
      backwardWeightAndBias(sizes, context, 1, xs.pointer + xo);
      const dx = context.target(0);
      if (dx === null) return;
      rt.engine.products.backwardInput(
        M,
        N,
        K,
        0,
        context.dy.pointer,
        N,
        ws.pointer + wo,
        K,
        0,
        0,
        0,
        0,
        dx.accumulate,
        dx.pointer,
        K,
      );
    },
  });
}

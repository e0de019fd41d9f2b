/** The linear operation y = x·Wᵀ + b and its backward; frozen weights cost nothing there. */

import { checkBoolean, checkOptions } from '../runtime/errors.js';
import { showShape } from '../tensor/shape.js';
import type { BackwardContext } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import { asRows, checkTensors } from './check.js';
import { inputGradient, type LinearSizes, NO_RANK, outputs, weightGradient } from './linear-products.js';

export interface LinearOperationOptions {
  /** The weight is [in, out]. Default false: [out, in]. */
  readonly fanInFanOut?: boolean;
}

/** How a linear product is to be taken. */
export interface LinearLayout extends LinearOperationOptions {
  /** @see LinearSizes.planRows */
  readonly planRows?: number;
}

/** @throws TypeError, RangeError unless x is [..., K], weight [N, K] (or [K, N]) and bias [N] */
export function checkLinear(
  where: string,
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  layout: LinearLayout = {},
): LinearSizes {
  const rt = checkTensors(where, bias === null ? { x, weight } : { x, weight, bias });
  const fanInFanOut = layout.fanInFanOut ?? false;
  if (weight.shape.length !== 2) {
    const expected = fanInFanOut ? '[in, out]' : '[out, in]';
    throw new RangeError(`${where}: weight is ${showShape(weight.shape)}, expected ${expected}`);
  }
  const [first, second] = weight.shape as [number, number];
  const [N, K] = fanInFanOut ? [second, first] : [first, second];
  if (x.shape.at(-1) !== K)
    throw new RangeError(`${where}: x is ${showShape(x.shape)}, expected [..., ${K}]`);
  if (bias !== null && (bias.shape.length !== 1 || bias.shape[0] !== N)) {
    throw new RangeError(`${where}: bias is ${showShape(bias.shape)}, expected [${N}]`);
  }
  const M = asRows(where, 'x', x).rows;
  return { rt, M, N, K, fanInFanOut, planRows: layout.planRows ?? M };
}

/** Gradients of the weight (input `i`) and the bias (input `i + 1`), where they are wanted. */
export function backwardWeightAndBias(
  sizes: LinearSizes,
  context: BackwardContext,
  i: number,
  xPointer: number,
): void {
  const { rt, M, N } = sizes;
  const dw = context.target(i);
  if (dw !== null) weightGradient(sizes, context.dy.pointer, xPointer, dw.accumulate, dw.pointer);
  const db = context.target(i + 1);
  if (db !== null) rt.engine.kernels.sumRows(M, N, context.dy.pointer, N, db.accumulate, db.pointer);
}

/**
 * y = x·Wᵀ + b.
 * @param x - [..., in] float32
 * @param weight - [out, in], or [in, out] with `fanInFanOut`
 * @param bias - [out] or null
 * @returns [..., out]
 * @throws TypeError, RangeError
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  options: LinearOperationOptions = {},
): Tensor {
  checkOptions('linear', options, ['fanInFanOut']);
  checkBoolean('linear: fanInFanOut', options.fanInFanOut ?? false);
  return linearAs('linear', x, weight, bias, options);
}

/** @internal `linear` under a layer's name. */
export function linearAs(
  where: string,
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  layout: LinearLayout = {},
): Tensor {
  const sizes = checkLinear(where, x, weight, bias, layout);
  const { rt, N } = sizes;
  return rt.attempt(() => {
    const y = rt.empty(x.shape.with(-1, N), 'f32');
    const at = { x: x.pointer, w: weight.pointer, bias: bias?.pointer ?? 0, y: y.pointer };
    outputs(sizes, 0, N, at, NO_RANK);
    const [xs, ws] = [x.storage, weight.storage];
    const [xo, wo] = [x.offset, weight.offset];
    const saved: Tensor[] = [];
    if (weight.requiresGrad) saved.push(x);
    if (x.requiresGrad) saved.push(weight);
    return rt.record(y, {
      name: where,
      inputs: [x, weight, bias],
      saved,
      backward: (context) => {
        backwardWeightAndBias(sizes, context, 1, xs.pointer + xo);
        const dx = context.target(0);
        if (dx === null) return;
        inputGradient(sizes, context.dy.pointer, ws.pointer + wo, NO_RANK, dx.accumulate, dx.pointer);
      },
    });
  });
}

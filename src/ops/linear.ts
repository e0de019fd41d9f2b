/** The linear operation y = x·Wᵀ + b and its backward; frozen weights cost nothing there. */

import { gradientMatrix, sumRows } from '../engine/matrices.js';
import { type Matrix, matrix, NO_RANK } from '../engine/operands.js';
import type { GradTarget } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkBoolean, checkOptions } from '../values/checks.js';
import { showShape } from '../values/shape.js';
import { asRows, checkTensors, checkWeight } from './check.js';
import { inputGradient, type LinearSizes, outputs, weightGradient } from './linear-products.js';

/** What `linear` takes beside x, weight and bias. */
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
  const rt = checkTensors(where, bias === null ? { x } : { x, bias });
  const dtype = checkWeight(where, weight, rt);
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
  return { rt, M, N, K, fanInFanOut, dtype, planRows: layout.planRows ?? M };
}

/** Gradients of the weight and the bias, where they are wanted; `x` is the address of what the weight was multiplied by. */
export function weightAndBiasGradients(
  sizes: LinearSizes,
  { dy, x }: { dy: Matrix; x: () => number },
  { dw, db }: { dw: GradTarget | null; db: GradTarget | null },
): void {
  const { rt, M, K } = sizes;
  if (dw !== null) weightGradient(sizes, { dy, x: matrix(x(), M, K) }, dw);
  if (db !== null) sumRows(rt.engine.kernels, dy, db);
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
  const { rt, M, N, K } = sizes;
  return rt.attempt(() => {
    const y = rt.empty(x.shape.with(-1, N), 'f32');
    const [rows, to] = [matrix(x.pointer, M, K), matrix(y.pointer, M, N)];
    const operands = { x: rows, w: weight.pointer, bias: bias?.pointer ?? 0, y: to };
    outputs(sizes, { from: 0, size: N }, operands, NO_RANK);
    return rt.record(y, {
      name: where,
      inputs: { x, weight, bias },
      keep: { x: weight.requiresGrad ? x : null, weight: x.requiresGrad ? weight : null },
      backward: (context) => {
        const { at, grad } = context;
        const dy = matrix(context.dy.pointer, M, N);
        const places = { dw: grad('weight'), db: grad('bias') };
        weightAndBiasGradients(sizes, { dy, x: () => at('x') }, places);
        const dx = grad('x');
        if (dx !== null)
          inputGradient(sizes, { dy, w: at('weight'), low: NO_RANK }, gradientMatrix(dx, M, K));
      },
    });
  });
}

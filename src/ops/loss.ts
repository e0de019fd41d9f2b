/** Losses: softmax cross-entropy and mean squared error, with PyTorch's reductions. */

import { crossEntropyGradient, crossEntropyTo, type LossGradient } from '../engine/classes.js';
import { gradientMatrix } from '../engine/matrices.js';
import { matrix } from '../engine/operands.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkInteger, checkOptions, describe } from '../values/checks.js';
import { sameShape, showShape } from '../values/shape.js';
import { asRows, checkSameShape, checkTensors } from './check.js';

/** How a loss of several elements becomes one number. */
export type Reduction = 'mean' | 'sum' | 'none';

/** What `crossEntropy` takes beside logits and targets. */
export interface CrossEntropyOptions {
  /** A target that takes no part in loss or gradient. Default -100. */
  readonly ignoreIndex?: number;
  /** `'mean'` divides by the number of targets that count. Default `'mean'`. */
  readonly reduction?: Reduction;
}

function checkReduction(where: string, reduction: unknown): void {
  if (reduction !== 'mean' && reduction !== 'sum' && reduction !== 'none') {
    throw new TypeError(`${where}: reduction is ${describe(reduction)}, expected 'mean', 'sum' or 'none'`);
  }
}

/**
 * Softmax cross-entropy: logsumexp(row) - row[target]. Where no target counts, the mean is 0 and so is its gradient.
 * @param logits - [..., classes] float32
 * @param targets - [...] int32, each from 0 to classes - 1 or `ignoreIndex`
 * @returns a scalar, or [...] with reduction `'none'`
 * @throws TypeError, RangeError
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const rt = checkTensors('crossEntropy', { logits });
  if (checkTensors('crossEntropy', { targets }, 'i32') !== rt) {
    throw new TypeError('crossEntropy: targets belongs to another runtime than logits, expected one runtime');
  }
  checkOptions('crossEntropy', options, ['ignoreIndex', 'reduction']);
  const { ignoreIndex = -100, reduction = 'mean' } = options;
  checkInteger('crossEntropy: ignoreIndex', ignoreIndex, -(2 ** 31), 2 ** 31 - 1);
  checkReduction('crossEntropy', reduction);
  const { rows, cols } = asRows('crossEntropy', 'logits', logits);
  if (!sameShape(targets.shape, logits.shape.slice(0, -1))) {
    throw new RangeError(
      `crossEntropy: targets is ${showShape(targets.shape)}, expected ${showShape(logits.shape.slice(0, -1))}`,
    );
  }
  const counted = countTargets(targets, cols, ignoreIndex);
  const { kernels } = rt.engine;
  return rt.attempt(() => {
    const perRow = rt.empty(targets.shape, 'f32');
    const x = matrix(logits.pointer, rows, cols);
    crossEntropyTo(rt.engine, { x, labels: targets.pointer, ignoreIndex }, perRow.pointer);
    const share = reduction === 'mean' ? 1 / Math.max(counted, 1) : 1;
    const y = reduction === 'none' ? perRow : rt.full([], kernels.sum(rows, perRow.pointer) * share);
    rt.record(y, {
      name: 'crossEntropy',
      inputs: { logits },
      keep: { logits, targets },
      backward({ dy, at, grad }) {
        const dx = grad('logits');
        if (dx === null) return;
        const x = matrix(at('logits'), rows, cols);
        const dloss: LossGradient = {
          scale: share,
          pointer: dy.pointer,
          stride: reduction === 'none' ? 1 : 0,
        };
        const from = { x, labels: at('targets'), ignoreIndex };
        crossEntropyGradient(rt.engine, from, dloss, gradientMatrix(dx, rows, cols));
      },
    });
    if (y !== perRow) perRow.dispose();
    return y;
  });
}

function countTargets(targets: Tensor, classes: number, ignoreIndex: number): number {
  const values = targets.runtime.engine.i32();
  const start = targets.pointer / 4;
  let counted = 0;
  for (let i = 0; i < targets.size; i++) {
    const target = values[start + i]!;
    if (target === ignoreIndex) continue;
    if (target < 0 || target >= classes) {
      throw new RangeError(
        `crossEntropy: target ${i} is ${target}, expected 0 to ${classes - 1} or ignoreIndex ${ignoreIndex}`,
      );
    }
    counted++;
  }
  return counted;
}

/**
 * Mean squared error: mean((a - b)²), or its sum, or each square.
 * @param a - any shape
 * @param b - the same shape
 * @throws TypeError, RangeError
 */
export function mseLoss(a: Tensor, b: Tensor, options: { readonly reduction?: Reduction } = {}): Tensor {
  const rt = checkTensors('mseLoss', { a, b });
  checkOptions('mseLoss', options, ['reduction']);
  const { reduction = 'mean' } = options;
  checkReduction('mseLoss', reduction);
  checkSameShape('mseLoss', 'a', a, 'b', b);
  const { kernels } = rt.engine;
  const share = reduction === 'mean' ? 1 / Math.max(a.size, 1) : 1;
  const y =
    reduction === 'none'
      ? rt.empty(a.shape, 'f32')
      : rt.full([], kernels.squaredDistance(a.size, a.pointer, b.pointer) * share);
  if (reduction === 'none') {
    kernels.sub(a.size, a.pointer, b.pointer, y.pointer);
    kernels.mul(a.size, y.pointer, y.pointer, y.pointer);
  }
  return rt.record(y, {
    name: 'mseLoss',
    inputs: { a, b },
    keep: { a, b },
    backward({ dy, at, grad }) {
      for (const one of ['a', 'b'] as const) {
        const place = grad(one);
        if (place === null) continue;
        const { accumulate, pointer } = place;
        const other = one === 'a' ? 'b' : 'a';
        if (reduction !== 'none') {
          const s = 2 * share * dy.item();
          kernels.differenceScaled(a.size, s, at(one), at(other), accumulate, pointer);
          continue;
        }
        const difference = rt.empty(dy.shape, 'f32');
        kernels.sub(dy.size, at(one), at(other), difference.pointer);
        if (accumulate === 0) kernels.fill(dy.size, 0, pointer);
        kernels.mulAdd(dy.size, 2, dy.pointer, difference.pointer, pointer);
        difference.dispose();
      }
    },
  });
}

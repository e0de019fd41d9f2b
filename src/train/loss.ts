/** What a loss function gives, and what of it counts. */
import { Tensor } from '../tensor/tensor.js';
import { describe } from '../values/checks.js';
import { showShape } from '../values/shape.js';

/**
 * The loss of one batch: its mean, where every batch counts alike; or mean or sum with how many examples or unmasked tokens it is
 * of, by whose total accumulated gradients and reported losses are divided. A batch whose count is 0 adds nothing.
 */
export type BatchLoss =
  | Tensor
  | { readonly loss: Tensor; readonly count: number }
  | { readonly sum: Tensor; readonly count: number };

/** The loss of a batch. Called inside `rt.scope`: tensors that it makes are released behind it. */
export type LossFunction<B, M> = (batch: B, model: M) => BatchLoss;

/** @internal A loss that was looked at. */
export interface CheckedLoss {
  readonly tensor: Tensor;
  readonly count: number;
  /** Whether `tensor` is a sum over the count, and not its mean. */
  readonly isSum: boolean;
}

/** @throws TypeError, RangeError */
export function checkLoss(where: string, given: unknown): CheckedLoss {
  if (given instanceof Tensor) return { tensor: scalar(where, given), count: 1, isSum: false };
  if (given !== null && typeof given === 'object' && 'then' in given)
    throw new TypeError(`${where}: loss gave a promise, expected a synchronous function`);
  if (given === null || typeof given !== 'object' || !('loss' in given || 'sum' in given))
    throw new TypeError(
      `${where}: loss gave ${describe(given)}, expected a Tensor, { loss, count } or { sum, count }`,
    );
  const isSum = 'sum' in given;
  const tensor: unknown = Reflect.get(given, isSum ? 'sum' : 'loss');
  const count: unknown = Reflect.get(given, 'count');
  if (!(tensor instanceof Tensor))
    throw new TypeError(`${where}: loss gave ${describe(tensor)}, expected a Tensor`);
  if (typeof count !== 'number')
    throw new TypeError(`${where}: loss gave the count ${describe(count)}, expected a number`);
  if (!(count >= 0 && count < Number.POSITIVE_INFINITY))
    throw new RangeError(`${where}: loss gave the count ${count}, expected a finite number from 0 up`);
  return { tensor: scalar(where, tensor), count, isSum };
}

function scalar(where: string, tensor: Tensor): Tensor {
  if (tensor.size !== 1 || tensor.dtype !== 'f32')
    throw new RangeError(
      `${where}: loss gave ${showShape(tensor.shape)} ${tensor.dtype}, expected one float32 number`,
    );
  return tensor;
}

/** Wrong calls of tensors and operations, each with its title and a part of its message. */
import {
  add,
  argmax,
  crossEntropy,
  defineOperation,
  mean,
  mseLoss,
  type Runtime,
  reshape,
  scale,
  type Tensor,
} from '../../../src/index.js';
import { wrong } from '../wrong.js';

export type BadInput = readonly [title: string, act: () => unknown, words: string];

export function wrongTensors(rt: Runtime): BadInput[] {
  return [
    ['shapes differ', () => add(rt.zeros([2]), rt.zeros([3])), 'add: b is [3], expected [2] as a'],
    ['scale by a tensor', () => scale(rt.zeros([2]), wrong('2')), "scale: s is '2', expected a number"],
    [
      'data unlike shape',
      () => rt.tensor([1, 2], [3]),
      'Runtime.tensor: data has 2 elements, expected 3 for [3]',
    ],
    ['negative shape', () => rt.zeros([-1]), 'Runtime.zeros: shape is [-1], expected integers from 0 up'],
    ['text in data', () => rt.tensor(wrong(['1'])), "Runtime.tensor: element 0 is '1', expected a number"],
    [
      'fraction in i32',
      () => rt.tensor([1.5], [1], { dtype: 'i32' }),
      'Runtime.tensor: element 0 is 1.5, expected a 32-bit integer',
    ],
    [
      'i32 with gradient',
      () => rt.zeros([1], { dtype: 'i32', requiresGrad: true }),
      'dtype is i32, expected f32',
    ],
    [
      'unknown tensor option',
      () => rt.zeros([1], wrong({ grad: true })),
      "Runtime.zeros: unknown option 'grad', expected one of dtype, requiresGrad",
    ],
    [
      'full of nothing',
      () => rt.full([2], wrong(undefined)),
      'Runtime.full: value is undefined, expected a number',
    ],
    [
      'a range the wrong way round',
      () => rt.uniform([3], 5, 1),
      'Runtime.uniform: low is 5 and high is 1, expected low <= high <= low + 3.4028234663852886e+38',
    ],
    [
      'a range without end',
      () => rt.uniform([3], 0, Number.POSITIVE_INFINITY),
      'Runtime.uniform: high is Infinity',
    ],
    ['a range of NaN', () => rt.uniform([3], Number.NaN, 1), 'Runtime.uniform: low is NaN'],
    [
      'requiresGrad as a number',
      () => rt.zeros([1], { requiresGrad: wrong(1) }),
      'Runtime.zeros: requiresGrad is 1, expected a boolean',
    ],
    [
      'an operation without backward',
      () => defineOperation(wrong<never>({ name: 'half', forward: (_: unknown, x: Tensor) => x })),
      'defineOperation: backward of half is undefined, expected a function',
    ],
    [
      'an axis that is a hole',
      () => mean(rt.zeros([2, 2, 2]), Object.assign([0], { 2: 1 })),
      'mean: an axis of [2, 2, 2] is undefined, expected an integer',
    ],
    [
      'copyTo of another length',
      () => rt.zeros([2]).copyTo(new Float32Array(3)),
      'Tensor.copyTo: target has 3 elements, expected 2 for [2]',
    ],
    ['copyTo of another kind', () => rt.zeros([2]).copyTo(new Int32Array(2)), 'expected a Float32Array'],
    [
      'set of another length',
      () => rt.zeros([2]).set([1]),
      'Tensor.set: source has 1 elements, expected 2 for [2]',
    ],
    ['item of several', () => rt.zeros([2]).item(), 'Tensor.item: the tensor is [2], expected one element'],
    [
      'backward of several',
      () => rt.zeros([2], { requiresGrad: true }).backward(),
      'expected one element or a gradient of that shape',
    ],
    [
      'backward without gradient',
      () => rt.zeros([]).backward(),
      'nothing that this tensor was computed from requires a gradient',
    ],
    [
      'reshape to another size',
      () => reshape(rt.zeros([6]), [4]),
      'reshape: x is [6] with 6 elements, expected 4 for [4]',
    ],
    ['mean of nothing', () => mean(rt.zeros([0])), 'mean: x is [0], expected at least one element'],
    ['argmax of a scalar', () => argmax(rt.zeros([])), 'argmax: x is [], expected at least one dimension'],
    [
      'target out of range',
      () => crossEntropy(rt.zeros([2, 3]), rt.tensor(Int32Array.of(0, 3))),
      'crossEntropy: target 1 is 3, expected 0 to 2 or ignoreIndex -100',
    ],
    [
      'targets of another shape',
      () => crossEntropy(rt.zeros([2, 3]), rt.tensor(Int32Array.of(0))),
      'crossEntropy: targets is [1], expected [2]',
    ],
    [
      'targets as floats',
      () => crossEntropy(rt.zeros([1, 3]), rt.zeros([1])),
      'crossEntropy: targets is f32, expected i32',
    ],
    [
      'unknown reduction',
      () => mseLoss(rt.zeros([1]), rt.zeros([1]), wrong({ reduction: 'max' })),
      "mseLoss: reduction is 'max', expected 'mean', 'sum' or 'none'",
    ],
  ];
}

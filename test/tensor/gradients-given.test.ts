/** Gradients and outputs that a program hands in: backward(gradient), `grad`, and what operations of one's own give. */
import { describe, expect, test } from 'vitest';
import {
  createRuntime,
  defineOperation,
  Linear,
  type Runtime,
  scale,
  sum,
  type Tensor,
} from '../../src/index.js';
import { wrong } from '../support/wrong.js';

const rt: Runtime = await createRuntime({ kernels: 'simd', threads: 1 });
const other: Runtime = await createRuntime({ kernels: 'simd', threads: 1 });
const disposed = (): Tensor => {
  const tensor = rt.zeros([2, 3]);
  tensor.dispose();
  return tensor;
};

/** What is no gradient of a [2, 3], and what each message says. */
const WRONG: readonly [string, () => unknown, string, new (...words: never[]) => Error][] = [
  ['another dtype', () => rt.zeros([2, 3], { dtype: 'i32' }), ' is i32, expected f32', TypeError],
  ['another runtime', () => other.zeros([2, 3]), ' belongs to another runtime', TypeError],
  ['another shape', () => rt.zeros([3, 2]), ' is [3, 2], expected [2, 3]', RangeError],
  ['as many elements', () => rt.zeros([6]), ' is [6], expected [2, 3]', RangeError],
  ['a number', () => 1, ' is 1, expected a Tensor', TypeError],
  ['an array', () => [1, 2], ' is [1, 2], expected a Tensor', TypeError],
  ['nothing', () => undefined, ' is undefined, expected a Tensor', TypeError],
  ['a disposed tensor', disposed, ' [2, 3] was used after dispose()', Error],
];

/** Ways in, each with the name that stands before the fault. */
const WAYS: readonly [string, string, (x: Tensor, gradient: unknown) => void][] = [
  ['backward of a leaf', 'Tensor.backward: gradient', (x, g) => x.backward(wrong(g))],
  ['backward of an operation', 'Tensor.backward: gradient', (x, g) => scale(x, 2).backward(wrong(g))],
  [
    'grad',
    'Tensor.grad: gradient',
    (x, g) => {
      x.grad = wrong(g);
    },
  ],
  [
    'the backward of an operation of one’s own',
    'mine: backward: gradient of a',
    (x, g) => {
      const forward = ({ a }: { a: Tensor }) => ({ y: scale(a, 1) });
      const backward = () => wrong<{ a: Tensor }>({ a: g });
      sum(defineOperation({ name: 'mine', forward, backward })({ a: x })).backward();
    },
  ],
];

for (const [way, where, give] of WAYS) {
  test.each(WRONG)(`${way}: %s is refused, and nothing has changed`, (name, make, message, kind) => {
    // Nothing is no gradient there.
    if (way !== 'grad' && name === 'nothing') return;
    const x = rt.zeros([2, 3], { requiresGrad: true }).keep();
    x.grad = rt.full([2, 3], 7);
    const given = make();
    let thrown: unknown;
    rt.scope(() => {
      try {
        give(x, given);
      } catch (error) {
        thrown = error;
      }
    });
    expect(thrown).toBeInstanceOf(kind);
    expect((thrown as Error).message).toContain(where + message);
    expect([...x.grad!.toArray()]).toEqual([7, 7, 7, 7, 7, 7]);
    x.dispose();
  });
}

describe('grad', () => {
  test('is kept from its scope, read back, and gone with its tensor', () => {
    const x = rt.zeros([2], { requiresGrad: true }).keep();
    rt.scope(() => {
      x.grad = rt.tensor([1, 2]);
    });
    expect([...x.grad!.toArray()]).toEqual([1, 2]);
    const { blocks } = rt.memory();
    x.dispose();
    expect(rt.memory().blocks).toBe(blocks - 2);
  });

  test('is null after its dispose, and the next backward makes a new one', () => {
    const { weight } = new Linear(rt, 2, 1, { bias: false });
    const step = (): void => rt.scope(() => sum(weight).backward());
    step();
    weight.grad!.dispose();
    expect(weight.grad).toBeNull();
    step();
    expect([...weight.grad!.toArray()]).toEqual([1, 1]);
  });

  test('of a tensor itself, of integers, or after dispose is refused', () => {
    const [x, ids] = [rt.zeros([2]), rt.zeros([2], { dtype: 'i32' })];
    const set = (tensor: Tensor, gradient: Tensor) => () => {
      tensor.grad = gradient;
    };
    expect(set(x, x)).toThrow(/Tensor.grad: gradient is the tensor itself/);
    expect(set(ids, rt.zeros([2]))).toThrow(/Tensor.grad: the tensor is i32, expected f32/);
    x.dispose();
    expect(set(x, rt.zeros([2]))).toThrow(/^Tensor.grad: the tensor \[2\] f32 was used after dispose\(\)$/);
  });
});

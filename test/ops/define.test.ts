/** Operations of one's own: what they may save, what they may give, and that errors name them. */
import { describe, expect, test } from 'vitest';
import {
  createRuntime,
  defineOperation,
  mul,
  type OperationDefinition,
  scale,
  sum,
  type Tensor,
  tanh,
} from '../../src/index.js';
import { FailingAllocator } from '../support/failing-allocator.js';
import { describeRuntimes, gradientError, inUse } from '../support/runtimes.js';
import { wrong } from '../support/wrong.js';

/** y = tanh(x)², by an intermediate result that forward made. */
const squaredTanh = defineOperation({
  name: 'squaredTanh',
  forward({ x }: { x: Tensor }) {
    const t = tanh(x);
    return { y: mul(t, t), keep: { t, x } };
  },
  backward({ dy, kept }) {
    const slope = kept.x.runtime.full(kept.x.shape, 1);
    slope.set(kept.t.toArray().map((value) => 2 * value * (1 - value * value)));
    return { x: mul(dy, slope) };
  },
});

describeRuntimes('an operation of one’s own', (rt) => {
  test('keeps what forward computed, and leaves no memory behind', () => {
    const x = rt().tensor([-1, 0.3, 2], [3], { requiresGrad: true }).keep();
    const { blocks, tensors } = rt().memory();
    const { error, largest } = gradientError(rt(), x, () => sum(squaredTanh({ x: squaredTanh({ x }) })));
    expect(largest).toBeGreaterThan(0.1);
    expect(error).toBeLessThan(5e-3 * largest);
    rt().scope(() => void rt().noGrad(() => squaredTanh({ x })));
    rt().scope(() => void squaredTanh({ x }));
    x.grad!.dispose();
    expect(rt().memory()).toMatchObject({ blocks, tensors });
    x.dispose();
  });

  test('keeps its own output', () => {
    const square = defineOperation({
      name: 'half',
      forward({ x }: { x: Tensor }) {
        const y = scale(x, 0.5);
        return { y, keep: { y } };
      },
      backward: ({ dy, kept }) => ({ x: scale(mul(dy, kept.y), 1) }),
    });
    const x = rt().tensor([2, 4], [2], { requiresGrad: true });
    rt().scope(() => sum(square({ x })).backward());
    expect([...x.grad!.toArray()]).toEqual([1, 2]);
  });

  test('gives back what it made when it fails half-way', () => {
    const x = rt().tensor([1, 2], [2], { requiresGrad: true }).keep();
    const before = inUse(rt());
    const fails = defineOperation({
      name: 'fails',
      forward({ a }: { a: Tensor }) {
        scale(a, 2);
        throw new Error('half-way');
      },
      backward: () => ({}),
    });
    expect(() => fails({ a: x })).toThrow(/half-way/);
    expect(inUse(rt())).toEqual(before);
    x.dispose();
  });

  test('whose output is a parameter of somebody else leaves that a leaf', () => {
    const constant = rt().tensor([3, 4], [2], { requiresGrad: true }).keep();
    const replace = defineOperation({
      name: 'replace',
      forward: (_: { x: Tensor }) => ({ y: constant }),
      backward: ({ dy }) => ({ x: scale(dy, 2) }),
    });
    const x = rt().tensor([1, 2], [2], { requiresGrad: true });
    rt().scope(() => sum(replace({ x })).backward());
    expect(constant.node).toBeNull();
    expect([...x.grad!.toArray()]).toEqual([2, 2]);
  });
});

type Named = Readonly<Record<string, Tensor>>;

describe('an operation of one’s own that is wrong', async () => {
  const rt = await createRuntime({ kernels: 'simd', threads: 1 });
  const other = await createRuntime({ kernels: 'simd', threads: 1 });
  const disposed = rt.zeros([2]);
  disposed.dispose();
  const x = rt.tensor([1, 2], [2], { requiresGrad: true });
  const giving = (y: unknown) => () => mine({ forward: () => wrong({ y }) });
  const mine = ({
    forward = ({ a }: Named) => ({ y: scale(a!, 1) }),
    backward = () => ({}),
  }: Partial<OperationDefinition<Named, Named>>) =>
    defineOperation({ name: 'mine', forward, backward })({ a: x });
  const keeping = (b: unknown) => () =>
    mine({ forward: ({ a }) => wrong({ y: scale(a!, 1), keep: { a, b } }) });
  const of = (definition: object) => () =>
    defineOperation(wrong<OperationDefinition<Named, Named>>(definition));
  const taking = (inputs: unknown) => () =>
    defineOperation({
      name: 'mine',
      forward: ({ a }: Named) => ({ y: scale(a!, 1) }),
      backward: () => ({}),
    })(wrong(inputs));
  const returning = (gradients: unknown) => () => sum(mine({ backward: () => wrong(gradients) })).backward();
  const forward = ({ a }: Named) => ({ y: scale(a!, 1) });

  test.each<[string, () => unknown, string]>([
    [
      'no result',
      () => mine({ forward: () => wrong(undefined) }),
      'mine: forward gave undefined, expected { y, keep }',
    ],
    [
      'a bare tensor',
      () => mine({ forward: ({ a }) => wrong(a) }),
      'mine: forward gave Tensor, expected { y, keep }',
    ],
    ['no output', giving(undefined), 'mine: forward: y is undefined, expected a Tensor'],
    ['several outputs', giving([x]), 'mine: forward: y is [Tensor]'],
    ['an integer output', giving(rt.zeros([2], { dtype: 'i32' })), 'forward: y is i32, expected f32'],
    ['an output of another runtime', giving(other.zeros([2])), 'forward: y belongs to another runtime'],
    ['a disposed output', giving(disposed), 'mine: forward: y [2] was used after dispose()'],
    ['keeping no tensor', keeping(7), 'mine: forward: keep.b is 7, expected a Tensor'],
    ['keeping what is gone', keeping(disposed), 'mine: forward: keep.b [2] was used after dispose()'],
    ['keeping of another runtime', keeping(other.zeros([1])), 'mine: forward: keep.b belongs to another'],
    ['no inputs', taking({}), 'mine: no tensors given, expected at least one'],
    ['inputs that are no object', taking(x), 'mine: inputs is Tensor, expected an object of tensors'],
    ['an input that is none', taking({ a: x, b: 3 }), 'mine: b is 3, expected a Tensor'],
    ['inputs of two runtimes', taking({ a: x, b: other.zeros([2]) }), 'mine: b belongs to another runtime'],
    ['a list of gradients', returning([x]), 'mine: backward gave [Tensor], expected an object of gradients'],
    ['a gradient of no input', returning({ b: x }), 'mine: backward gave a gradient of b, expected one of a'],
    [
      'no forward',
      of({ name: 'mine', backward: () => ({}) }),
      'forward of mine is undefined, expected a fun',
    ],
    ['no backward', of({ name: 'mine', forward }), 'backward of mine is undefined, expected a function'],
    ['no name', of({ forward }), 'defineOperation: name is undefined, expected a string'],
  ])('%s', (_, run, message) => {
    const before = inUse(rt);
    expect(() => rt.scope(run)).toThrow(message);
    expect(inUse(rt)).toEqual(before);
  });

  test('memory that runs out inside forward leaves nothing', () => {
    const before = inUse(rt);
    for (const failAt of [1, 2, 3]) {
      const allocator = new FailingAllocator(rt, failAt);
      expect(() => sum(squaredTanh({ x }))).toThrow(/allocate/);
      allocator.stop();
      if (failAt < 3) expect(inUse(rt)).toEqual(before);
    }
  });
});

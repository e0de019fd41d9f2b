/** Operations of one's own: what they may save, what they may give, and that errors name them. */
import { describe, expect, test } from 'vitest';
import {
  createRuntime,
  defineOperation,
  mul,
  type OperationContext,
  type OperationDefinition,
  scale,
  sum,
  type Tensor,
  tanh,
} from '../../src/index.js';
import { FailingAllocator } from '../support/failing-allocator.js';
import { describeRuntimes, gradientError } from '../support/runtimes.js';

const wrong = <T>(value: unknown): T => value as T;

/** y = tanh(x)², by an intermediate result that forward made. */
const squaredTanh = defineOperation({
  name: 'squaredTanh',
  forward(context, x: Tensor) {
    const t = tanh(x);
    const y = mul(t, t);
    context.save(t, x);
    return y;
  },
  backward(context, dy) {
    const [t, x] = context.saved as [Tensor, Tensor];
    const slope = rtOf(x).full(x.shape, 1);
    slope.set(t.toArray().map((value) => 2 * value * (1 - value * value)));
    return [mul(dy, slope)];
  },
});
const rtOf = (tensor: Tensor) => tensor.runtime;

describeRuntimes('an operation of one’s own', (rt) => {
  test('saves what forward computed, and leaves no memory behind', () => {
    const x = rt().tensor([-1, 0.3, 2], [3], { requiresGrad: true }).keep();
    const { blocks, tensors } = rt().memory();
    const { error } = gradientError(rt(), x, () => sum(squaredTanh(squaredTanh(x))), 1e-3);
    expect(error).toBeLessThan(1e-3);
    rt().scope(() => void rt().noGrad(() => squaredTanh(x)));
    rt().scope(() => void squaredTanh(x));
    x.grad!.dispose();
    expect(rt().memory()).toMatchObject({ blocks, tensors });
    x.dispose();
  });

  test('saves its own output', () => {
    const square = defineOperation({
      name: 'half',
      forward(context, x: Tensor) {
        const y = scale(x, 0.5);
        context.save(y);
        return y;
      },
      backward: (context, dy) => [scale(mul(dy, context.saved[0]!), 1)],
    });
    const x = rt().tensor([2, 4], [2], { requiresGrad: true });
    rt().scope(() => sum(square(x)).backward());
    expect([...x.grad!.toArray()]).toEqual([1, 2]);
  });

  test('gives back what it saved when it fails half-way', () => {
    const x = rt().tensor([1, 2], [2], { requiresGrad: true }).keep();
    const before = rt().memory();
    const fails = defineOperation({
      name: 'fails',
      forward(context, a: Tensor) {
        context.save(scale(a, 2), a);
        throw new Error('half-way');
      },
      backward: () => [null],
    });
    expect(() => fails(x)).toThrow(/half-way/);
    expect(rt().memory()).toEqual(before);
    x.dispose();
  });

  test('whose output is a parameter of somebody else leaves that a leaf', () => {
    const constant = rt().tensor([3, 4], [2], { requiresGrad: true }).keep();
    const replace = defineOperation({
      name: 'replace',
      forward: (_: OperationContext, __: Tensor) => constant,
      backward: (_, dy) => [scale(dy, 2)],
    });
    const x = rt().tensor([1, 2], [2], { requiresGrad: true });
    rt().scope(() => sum(replace(x)).backward());
    expect(constant.node).toBeNull();
    expect([...x.grad!.toArray()]).toEqual([2, 2]);
  });
});

describe('an operation of one’s own that is wrong', async () => {
  const rt = await createRuntime({ kernels: 'simd', threads: 1 });
  const other = await createRuntime({ kernels: 'simd', threads: 1 });
  const disposed = rt.zeros([2]);
  disposed.dispose();
  const x = rt.tensor([1, 2], [2], { requiresGrad: true });
  const giving = (y: unknown) => () =>
    defineOperation({ name: 'mine', forward: () => wrong<Tensor>(y), backward: () => [null] })(
      ...wrong<[]>([x]),
    );
  const saving = (tensor: unknown) => () =>
    defineOperation({
      name: 'mine',
      forward: (context, a: Tensor) => {
        context.save(a, wrong(tensor));
        return scale(a, 1);
      },
      backward: () => [null],
    })(x);
  const of = (definition: object) => () => defineOperation(wrong<OperationDefinition<[]>>(definition));
  const taking =
    (...inputs: unknown[]) =>
    () =>
      defineOperation({
        name: 'mine',
        forward: (_, a: Tensor, __: Tensor) => scale(a, 1),
        backward: () => [null, null],
      })(...wrong<[Tensor, Tensor]>(inputs));
  const late: OperationContext[] = [];
  const forward = (_: unknown, a: Tensor): Tensor => scale(a, 1);

  test.each<[string, () => unknown, string]>([
    ['no output', giving(undefined), 'mine: forward: the output is undefined, expected a Tensor'],
    ['several outputs', giving([x]), 'mine: forward: the output is [Tensor]'],
    ['an integer output', giving(rt.zeros([2], { dtype: 'i32' })), 'the output is i32, expected f32'],
    ['an output of another runtime', giving(other.zeros([2])), 'the output belongs to another runtime'],
    ['a disposed output', giving(disposed), 'mine: forward: the output [2] was used after dispose()'],
    ['saving no tensor', saving(7), 'mine: context.save: tensor 1 is 7, expected a Tensor'],
    ['saving what is gone', saving(disposed), 'mine: context.save: tensor 1 [2] was used after dispose()'],
    [
      'saving of another runtime',
      saving(other.zeros([1])),
      'mine: context.save: tensor 1 belongs to another',
    ],
    ['no inputs', taking(), 'mine: no tensors given, expected at least one'],
    ['an input that is none', taking(x, 3), 'mine: input 1 is 3, expected a Tensor'],
    ['inputs of two runtimes', taking(x, other.zeros([2])), 'mine: input 1 belongs to another runtime'],
    ['no forward', of({ name: 'mine', backward: () => [] }), 'forward of mine is undefined, expected a fun'],
    ['no backward', of({ name: 'mine', forward }), 'backward of mine is undefined, expected a function'],
    ['no name', of({ forward }), 'defineOperation: name is undefined, expected a string'],
    [
      'saving after forward',
      () => {
        defineOperation({
          name: 'mine',
          forward: (context, a: Tensor) => {
            late.push(context);
            return scale(a, 1);
          },
          backward: () => [null],
        })(x);
        late[0]!.save(x);
      },
      'mine: context.save was called after forward, expected inside it',
    ],
    [
      'saving in backward',
      () =>
        sum(
          defineOperation({
            name: 'mine',
            forward,
            backward: (context, dy) => {
              context.save(dy);
              return [dy];
            },
          })(x),
        ).backward(),
      'mine: context.save was called in backward, expected in forward',
    ],
  ])('%s', (_, run, message) => {
    const before = rt.memory();
    expect(() => rt.scope(run)).toThrow(message);
    expect(rt.memory()).toEqual(before);
  });

  test('memory that runs out inside forward leaves nothing', () => {
    const before = rt.memory();
    for (const failAt of [1, 2, 3]) {
      const allocator = new FailingAllocator(rt, failAt);
      expect(() => sum(squaredTanh(x))).toThrow(/allocate/);
      allocator.stop();
      if (failAt < 3) expect(rt.memory()).toEqual(before);
    }
  });
});

/** What backward leaves behind when it fails: every gradient as it was, all memory given back, and a way to go on. */
import { describe, expect, test } from 'vitest';
import {
  Conv2d,
  createRuntime,
  crossEntropy,
  Dropout,
  defineOperation,
  Embedding,
  Flatten,
  type Layer,
  LayerNorm,
  Linear,
  type LoraConfig,
  LoraModel,
  mul,
  OutOfMemoryError,
  type Parameter,
  ReLU,
  type Runtime,
  Sequential,
  scale,
  sum,
  type Tensor,
} from '../../src/index.js';
import { FailingAllocator, failEachAllocation } from '../support/failing-allocator.js';
import { inUse } from '../support/runtimes.js';
import { forget, gradientsOf, leafOf } from '../support/tensors.js';

const rt: Runtime = await createRuntime({ kernels: 'simd', threads: 1, seed: 3 });

interface Case {
  readonly name: string;
  readonly model: () => Layer;
  readonly config: Partial<LoraConfig>;
  readonly input: () => Tensor;
}

const linears = (): Layer =>
  new Sequential(new Linear(rt, 9, 8), new ReLU(), new Dropout(rt, 0.3), new Linear(rt, 8, 4));
const rows = (): Tensor => rt.normal([6, 9]);
const CASES: readonly Case[] = [
  { name: 'LoRA with dropout', model: linears, config: { loraDropout: 0.4 }, input: rows },
  { name: 'DoRA with dropout', model: linears, config: { useDora: true, loraDropout: 0.4 }, input: rows },
  { name: 'LoRA with biases', model: linears, config: { bias: 'all', loraBias: true }, input: rows },
  {
    name: 'fan in, fan out',
    model: () =>
      new Sequential(
        new Linear(rt, 9, 8, { fanInFanOut: true }),
        new LayerNorm(rt, 8),
        new Linear(rt, 8, 4, { fanInFanOut: true }),
      ),
    config: { fanInFanOut: true },
    input: rows,
  },
  {
    name: 'a convolution',
    model: () => new Sequential(new Conv2d(rt, 2, 4, 3), new Flatten(), new Linear(rt, 4 * 4, 4)),
    config: { loraDropout: 0.4 },
    input: () => rt.normal([3, 2, 4, 4]),
  },
  {
    name: 'a lookup',
    model: () => new Sequential(new Embedding(rt, 7, 8), new Linear(rt, 8, 4)),
    config: {},
    input: () => rt.tensor(Int32Array.of(0, 6, 3, 3)),
  },
];

describe.each(CASES)('an allocation that fails in backward, $name', ({ model, config, input }) => {
  const lora = LoraModel.attach(model(), { r: 2, targetModules: 'all-linear', ...config });
  // Everything trains, so that no gradient is left out.
  for (const parameter of lora.parameters()) parameter.requiresGrad = true;
  const leaves: readonly Parameter[] = lora.trainableParameters();
  const x = rt.scope(() => input().keep());
  const step = (): void =>
    rt.scope(() => {
      const y = lora.forward(x);
      sum(mul(y, y)).backward();
    });

  test('leaves no gradient where there was none, and memory as it was', async () => {
    lora.eval();
    step();
    const undisturbed = gradientsOf(leaves);
    forget(leaves);
    const before = inUse(rt);
    const runs = await failEachAllocation(rt, step, () => {
      expect(gradientsOf(leaves)).toEqual(leaves.map(() => null));
      expect(inUse(rt)).toEqual(before);
    });
    expect(runs).toBeGreaterThan(6);
    expect(gradientsOf(leaves)).toEqual(undisturbed);
    forget(leaves);
    lora.train();
  });

  test('leaves gradients that were there as they were', async () => {
    step();
    const [before, memory] = [gradientsOf(leaves), inUse(rt)];
    expect(before.filter((gradient) => gradient !== null).length).toBeGreaterThan(3);
    await failEachAllocation(rt, step, () => {
      expect(gradientsOf(leaves)).toEqual(before);
      expect(inUse(rt)).toEqual(memory);
    });
    expect(gradientsOf(leaves)).not.toEqual(before);
    expect(inUse(rt)).toEqual(memory);
    forget(leaves);
  });

  test('gives a fresh block of gradients back', async () => {
    const fresh = LoraModel.attach(model(), { r: 2, targetModules: 'all-linear', ...config });
    const run = (): void => rt.scope(() => sum(fresh.forward(x)).backward());
    const before = inUse(rt);
    await failEachAllocation(rt, run, () => expect(inUse(rt)).toEqual(before));
    expect(rt.memory().blocks).toBe(before.blocks + 1);
    fresh.dispose();
  });
});

describe('a backward that failed', () => {
  test('spends the tape, and the next one says to run forward again', () => {
    const x = leafOf(rt, [1, 2, 3]);
    rt.scope(() => {
      const loss = sum(mul(scale(x, 2), x));
      const allocator = new FailingAllocator(rt, 4);
      expect(() => loss.backward()).toThrow(OutOfMemoryError);
      allocator.stop();
      expect(x.grad).toBeNull();
      expect(() => loss.backward()).toThrow(/what sum saved is gone.*run forward again/);
    });
    rt.scope(() => sum(mul(scale(x, 2), x)).backward());
    expect([...x.grad!.toArray()]).toEqual([4, 8, 12]);
    x.dispose();
  });

  test('may be tried again where it failed before the first operation', () => {
    const x = leafOf(rt, [1, 2, 3]);
    rt.scope(() => {
      const loss = sum(mul(x, x));
      using _ = new FailingAllocator(rt, 1);
      expect(() => loss.backward()).toThrow(OutOfMemoryError);
      loss.backward();
    });
    expect([...x.grad!.toArray()]).toEqual([2, 4, 6]);
    x.dispose();
  });

  test('adds nothing when an operation of one’s own throws', () => {
    const [x, y] = [leafOf(rt, [1, 2]), leafOf(rt, [3, 4])];
    const broken = defineOperation({
      name: 'broken',
      forward: ({ a }: { a: Tensor }) => ({ y: scale(a, 1) }),
      backward: () => {
        throw new Error('thrown on purpose');
      },
    });
    y.grad = rt.tensor([10, 20]);
    const run = (): void => rt.scope(() => sum(mul(mul(broken({ a: x }), y), y)).backward());
    const before = inUse(rt);
    expect(run).toThrow(/thrown on purpose/);
    expect(x.grad).toBeNull();
    expect([...y.grad!.toArray()]).toEqual([10, 20]);
    expect(inUse(rt)).toEqual(before);
    x.dispose();
    y.dispose();
  });
});

test('parameters that are gone before backward get no gradient, and the others theirs', () => {
  const { blocks } = rt.memory();
  const x = leafOf(rt, [1, 2]);
  const layer = new Linear(rt, 2, 1);
  const weight = [...layer.weight.toArray()];
  rt.scope(() => sum(layer.forward(x)).backward());
  forget([x]);
  rt.scope(() => {
    const loss = sum(layer.forward(x));
    layer.dispose();
    loss.backward();
    expect(layer.weight.grad).toBeNull();
  });
  expect([...x.grad!.toArray()]).toEqual(weight);
  x.dispose();
  expect(rt.memory().blocks).toBe(blocks);
});

test('cross-entropy after an error and forward again equals an undisturbed step', () => {
  const layer = new Linear(rt, 5, 3);
  const x = rt.normal([4, 5]).keep();
  const targets = rt.tensor(Int32Array.of(0, 1, 2, 0)).keep();
  const step = (): void => rt.scope(() => crossEntropy(layer.forward(x), targets).backward());
  step();
  const undisturbed = gradientsOf(layer.parameters());
  forget(layer.parameters());
  const allocator = new FailingAllocator(rt, 5);
  expect(step).toThrow(OutOfMemoryError);
  allocator.stop();
  step();
  expect(gradientsOf(layer.parameters())).toEqual(undisturbed);
});

test('scratch that cannot grow is as large as before', () => {
  using own = new FailingAllocator(rt, 2);
  const bytes = 2 ** 21;
  rt.engine.scratch(bytes);
  const before = inUse(rt);
  expect(() => rt.engine.scratch(2 * bytes)).toThrow(OutOfMemoryError);
  expect(inUse(rt)).toEqual(before);
  const { count } = own;
  rt.engine.scratch(bytes);
  expect(own.count).toBe(count);
});

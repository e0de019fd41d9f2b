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
  mseLoss,
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

const rt: Runtime = await createRuntime({ kernels: 'simd', threads: 1, seed: 3 });

type Gradients = (Float32Array | Int32Array | null)[];
const gradientsOf = (leaves: readonly Tensor[]): Gradients =>
  leaves.map(({ grad }) => grad?.toArray() ?? null);
const forget = (leaves: readonly Tensor[]): void => {
  for (const leaf of leaves) {
    leaf.grad?.dispose();
    leaf.grad = null;
  }
};
const leafOf = (values: readonly number[]): Tensor =>
  rt.tensor(values, [values.length], { requiresGrad: true }).keep();

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
    const x = leafOf([1, 2, 3]);
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
    const x = leafOf([1, 2, 3]);
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
    const [x, y] = [leafOf([1, 2]), leafOf([3, 4])];
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

describe('a backward inside an operation’s backward', () => {
  /** Passes its input on, and calls `inside` in backward. */
  const around = (inside: () => void): ((x: Tensor) => Tensor) => {
    const operation = defineOperation({
      name: 'around',
      forward: ({ a }: { a: Tensor }) => ({ y: scale(a, 1) }),
      backward: ({ dy }) => {
        inside();
        return { a: scale(dy, 1) };
      },
    });
    return (x) => operation({ a: x });
  };

  test('hands over with the outermost, and both add up', () => {
    const [w, x] = [leafOf([1, 2]), leafOf([5, 6])];
    rt.scope(() => {
      const inner = sum(mul(w, w));
      const op = around(() => {
        inner.backward();
        expect(w.grad).toBeNull();
      });
      sum(mul(op(x), w)).backward();
    });
    expect([...w.grad!.toArray()]).toEqual([2 + 5, 4 + 6]);
    expect([...x.grad!.toArray()]).toEqual([1, 2]);
    w.dispose();
    x.dispose();
  });

  test('does not write where the outer one has begun a parameter’s gradient', () => {
    const { weight } = new Linear(rt, 2, 1, { bias: false });
    weight.set([1, 2]);
    const x = rt.tensor([5, 6], [1, 2], { requiresGrad: true });
    rt.scope(() => {
      const [inner, failing] = [sum(mul(weight, weight)), sum(mul(weight, weight))];
      const op = around(() => {
        inner.backward();
        using _ = new FailingAllocator(rt, 3);
        expect(() => failing.backward()).toThrow(OutOfMemoryError);
      });
      sum(mul(op(x), weight)).backward();
    });
    expect([...weight.grad!.toArray()]).toEqual([2 + 5, 4 + 6]);
    weight.block.dispose();
  });

  test('leaves nothing when the outer one fails after it', () => {
    const [w, v, x] = [leafOf([1, 2]), leafOf([1, 2]), leafOf([5, 6])];
    v.grad = rt.tensor([7, 8]);
    const before = inUse(rt);
    rt.scope(() => {
      const inner = sum(mul(w, v));
      const op = around(() => {
        inner.backward();
        throw new Error('after the inner one');
      });
      expect(() => sum(mul(op(x), w)).backward()).toThrow(/after the inner one/);
    });
    expect(gradientsOf([w, x])).toEqual([null, null]);
    expect([...v.grad!.toArray()]).toEqual([7, 8]);
    expect(inUse(rt)).toEqual(before);
    for (const leaf of [w, v, x]) leaf.dispose();
  });

  test('that fails and is caught adds nothing of its own', () => {
    const [w, x] = [leafOf([1, 2]), leafOf([5, 6])];
    rt.scope(() => {
      const inner = sum(
        mul(
          around(() => {
            throw new Error('inner');
          })(scale(w, 1)),
          w,
        ),
      );
      const op = around(() => expect(() => inner.backward()).toThrow(/inner/));
      sum(mul(op(x), w)).backward();
    });
    expect([...w.grad!.toArray()]).toEqual([5, 6]);
    w.dispose();
    x.dispose();
  });

  test('gives a leaf that was made in there its gradient at once', () => {
    const x = leafOf([1, 2]);
    rt.scope(() => {
      const y = rt.record(rt.zeros([2]), {
        name: 'recomputed',
        inputs: { x },
        keep: {},
        backward: ({ dy, pass }) => {
          const again = rt.tensor([1, 2], [2], { requiresGrad: true });
          mul(again, again).backward(dy);
          pass(again.grad!, 'x');
        },
      });
      sum(scale(y, 3)).backward();
    });
    expect([...x.grad!.toArray()]).toEqual([6, 12]);
    x.dispose();
  });

  test('adds to a gradient that was there, once', () => {
    const [w, x] = [leafOf([1, 2]), leafOf([5, 6])];
    w.grad = rt.tensor([100, 200]);
    rt.scope(() => {
      const inner = sum(mul(w, w));
      sum(mul(around(() => inner.backward())(x), w)).backward();
    });
    expect([...w.grad!.toArray()]).toEqual([107, 210]);
    w.dispose();
    x.dispose();
  });
});

test('parameters that are gone before backward get no gradient, and the others theirs', () => {
  const { blocks } = rt.memory();
  const x = leafOf([1, 2]);
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

describe('memory of a step', () => {
  const lora = LoraModel.attach(new Sequential(new Linear(rt, 60, 50), new ReLU(), new Linear(rt, 50, 10)), {
    r: 4,
    targetModules: ['0', '2'],
  });
  const leaves = lora.trainableParameters() as Parameter[];
  const x = rt.normal([20, 60]).keep();
  const y = rt.normal([20, 10]).keep();
  const peakOf = (): { peak: number; count: number } => {
    const { held } = rt.memory();
    using allocator = new FailingAllocator(rt);
    rt.scope(() => mseLoss(lora.forward(x), y).backward());
    return { peak: allocator.peak - held, count: allocator.count };
  };

  test('a first gradient is written where it stays: side by side, with nothing allocated for it', () => {
    const first = peakOf();
    const { block } = leaves[0]!;
    for (const leaf of leaves)
      expect(leaf.grad!.pointer - leaves[0]!.grad!.pointer).toBe(leaf.pointer - leaves[0]!.pointer);
    forget(leaves);
    const again = peakOf();
    expect(first.count).toBe(again.count + 1);
    expect(first.peak - again.peak).toBeLessThanOrEqual(block.bytes + 4096);
    forget(leaves);
  });

  test('gradients that are added to raise the peak by no more than themselves', () => {
    const fresh = peakOf();
    const added = peakOf();
    const bytes = leaves.reduce(
      (total, { size }) => total + Math.max(64, Math.ceil((size * 4) / 64) * 80),
      0,
    );
    expect(added.count).toBe(fresh.count + leaves.length);
    expect(added.peak - fresh.peak).toBeGreaterThan(0);
    expect(added.peak - fresh.peak).toBeLessThanOrEqual(bytes);
    forget(leaves);
  });

  test('a sum of two backwards is the two gradients added', () => {
    const run = (): void => rt.scope(() => mseLoss(lora.forward(x), y).backward());
    run();
    const one = gradientsOf(leaves);
    run();
    expect(gradientsOf(leaves)).toEqual(one.map((g) => Float32Array.from(g!, (value) => value + value)));
    forget(leaves);
  });
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

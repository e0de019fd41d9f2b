/** Layers whose making or forward runs out of memory: nothing is held, and the next try draws what it would have drawn. */
import { describe, expect, test } from 'vitest';
import {
  Conv2d,
  createRuntime,
  Dropout,
  Embedding,
  type Layer,
  LayerNorm,
  Linear,
  LoraConv2d,
  LoraEmbedding,
  LoraLinear,
  LoraModel,
  type Runtime,
  Sequential,
} from '../../src/index.js';
import { FailingAllocator, failEachAllocation } from '../support/failing-allocator.js';
import { inUse } from '../support/runtimes.js';

const make = (): Promise<Runtime> => createRuntime({ kernels: 'simd', threads: 1, seed: 5 });
const valuesOf = (module: Layer): number[][] =>
  module.parameters().map((parameter) => [...parameter.toArray()]);
const mlp = (rt: Runtime): Sequential =>
  new Sequential(new Linear(rt, 6, 5), new Dropout(rt, 0.5), new Dropout(rt, 0.2), new Linear(rt, 5, 3));

const MAKERS: readonly [string, number, (rt: Runtime) => Layer][] = [
  ['Linear', 2, (rt) => new Linear(rt, 5, 4)],
  ['Conv2d', 2, (rt) => new Conv2d(rt, 2, 3, 3)],
  ['Embedding', 1, (rt) => new Embedding(rt, 5, 4)],
  ['LayerNorm', 2, (rt) => new LayerNorm(rt, 5)],
];

describe.each(MAKERS)('a %s that runs out of memory', (_, allocations, maker) => {
  test('holds nothing, and the next one is drawn as if there had been no failure', async () => {
    using rt = await make();
    using calm = await make();
    const before = inUse(rt);
    let made: Layer | undefined;
    const count = await failEachAllocation(
      rt,
      () => {
        made = maker(rt);
      },
      () => expect(inUse(rt)).toEqual({ ...before, bytes: rt.memory().bytes }),
    );
    expect(count).toBe(allocations);
    expect(valuesOf(made!)).toEqual(valuesOf(maker(calm)));
  });
});

test('a layer that cannot be made does not count as a holder of the weight it was to share', async () => {
  using rt = await make();
  const { weight } = new Linear(rt, 4, 4);
  for (const share of [
    () => new Linear(rt, 4, 4, { weight }),
    () => new Linear(rt, 4, 5, { weight }),
    () => new Embedding(rt, 5, 4, { weight }),
  ]) {
    using _ = new FailingAllocator(rt, 1);
    expect(share).toThrow();
    expect(weight.holders).toBe(1);
  }
  new Linear(rt, 4, 4, { weight });
  expect(weight.holders).toBe(2);
});

type Wrap = readonly [string, (rt: Runtime) => Layer, (base: Layer) => Layer];
const gaussian = { initLoraWeights: 'gaussian', r: 2 } as const;
const WRAPS: readonly Wrap[] = [
  ['LoraLinear.from', (rt) => new Linear(rt, 5, 4), (base) => LoraLinear.from(base as Linear, gaussian)],
  [
    'LoraLinear.from, OLoRA',
    (rt) => new Linear(rt, 5, 4),
    (base) => LoraLinear.from(base as Linear, { initLoraWeights: 'olora', r: 2 }),
  ],
  ['LoraConv2d.from', (rt) => new Conv2d(rt, 2, 3, 3), (base) => LoraConv2d.from(base as Conv2d, gaussian)],
  ['LoraEmbedding.from', (rt) => new Embedding(rt, 5, 4), (base) => LoraEmbedding.from(base as Embedding)],
  [
    'LoraModel.attach',
    mlp,
    (base) => LoraModel.attach(base, { r: 2, useDora: true, targetModules: 'all-linear' }),
  ],
];

describe.each(WRAPS)('%s that runs out of memory', (_, base, wrap) => {
  test('holds nothing, and draws at the next try what it would have drawn', async () => {
    using rt = await make();
    using calm = await make();
    const own = base(rt);
    const { blocks, held, tensors } = rt.memory();
    let made: Layer | undefined;
    const count = await failEachAllocation(
      rt,
      () => {
        made = wrap(own);
      },
      () => expect(rt.memory()).toMatchObject({ blocks, held, tensors }),
    );
    expect(count).toBeGreaterThan(0);
    expect(valuesOf(made!)).toEqual(valuesOf(wrap(base(calm))));
  });
});

describe('the masks of a forward that failed', () => {
  test.each<[string, (rt: Runtime) => Layer]>([
    ['Sequential', mlp],
    [
      'LoraModel',
      (rt) =>
        LoraModel.attach(mlp(rt), { r: 2, loraDropout: 0.5, targetModules: 'all-linear', useDora: true }),
    ],
    ['LoraLinear', (rt) => LoraLinear.from(new Linear(rt, 6, 3), { loraDropout: 0.5 })],
    ['Dropout', (rt) => new Dropout(rt, 0.5)],
  ])('are those of the next try, %s', async (_, maker) => {
    using rt = await make();
    using calm = await make();
    const [model, undisturbed] = [maker(rt), maker(calm)];
    for (const parameter of [...model.parameters(), ...undisturbed.parameters()])
      if (parameter.toArray().every((value) => value === 0))
        parameter.set([...parameter.toArray()].map((_, i) => 0.1 * (i + 1)));
    const x = Float32Array.from({ length: 24 }, (_, i) => Math.sin(i));
    const input = rt.tensor(x, [4, 6]).keep();
    const before = inUse(rt);
    const run = (runtime: Runtime, one: Layer) => (): number[] =>
      runtime.scope(() => [...one.forward(runtime === rt ? input : runtime.tensor(x, [4, 6])).toArray()]);
    run(rt, model)();
    const first = run(calm, undisturbed)();
    let last: number[] = [];
    await failEachAllocation(
      rt,
      () => {
        last = run(rt, model)();
      },
      () => expect(rt.memory().tensors).toBe(before.tensors),
    );
    const second = run(calm, undisturbed)();
    expect(last).toEqual(second);
    expect(second).not.toEqual(first);
  });
});

describe('tensors of random numbers', () => {
  test.each<[string, (rt: Runtime) => { toArray(): ArrayLike<number> }]>([
    ['uniform', (rt) => rt.uniform([5], -1, 1)],
    ['normal', (rt) => rt.normal([5])],
  ])('%s that failed leaves the next draw where it was', async (_, draw) => {
    using rt = await make();
    using calm = await make();
    const allocator = new FailingAllocator(rt, 1);
    expect(() => draw(rt)).toThrow();
    allocator.stop();
    expect(draw(rt).toArray()).toEqual(draw(calm).toArray());
  });

  test('drawn inside a forward that failed are drawn again', async () => {
    using rt = await make();
    using calm = await make();
    const run = (runtime: Runtime) => runtime.attempt(() => [runtime.normal([3]), runtime.zeros([3])][0]!);
    const allocator = new FailingAllocator(rt, 2);
    expect(() => run(rt)).toThrow();
    allocator.stop();
    expect(run(rt).toArray()).toEqual(run(calm).toArray());
  });
});

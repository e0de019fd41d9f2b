/** Out of memory half-way through a change of a whole model: nothing has changed, and the next call does it all. */
import { expect, test } from 'vitest';
import {
  type Layer,
  Linear,
  type LoraConfig,
  LoraModel,
  type Runtime,
  Sequential,
  type Tensor,
} from '../../src/index.js';
import { failEachAllocation } from '../support/failing-allocator.js';
import { apart, valuesOf } from '../support/layers.js';
import { idsFor, loraLayers, MIXED_LAYERS, MixedModel, stirAdapters } from '../support/mixed-model.js';
import { describeRuntimes } from '../support/runtimes.js';

const ALL: LoraConfig = { r: 2, loraAlpha: 3, targetModules: [...MIXED_LAYERS] };
const PISSA: LoraConfig = { r: 2, targetModules: ['fc1', 'head'], initLoraWeights: 'pissa' };
const DORA: LoraConfig = { ...ALL, useDora: true };

function attach(rt: Runtime, ...configs: LoraConfig[]): LoraModel<MixedModel> {
  const lora = LoraModel.attach(new MixedModel(rt));
  for (const [i, config] of configs.entries()) lora.addAdapter(`a${i}`, config);
  stirAdapters(rt, lora);
  lora.setAdapter(configs.map((_, i) => `a${i}`));
  return lora.eval() as LoraModel<MixedModel>;
}

/** Everything that a caller can see of a model's state. */
function stateOf(rt: Runtime, lora: LoraModel, x: Tensor): unknown {
  return {
    parameters: lora.namedParameters().map(([name, parameter]) => [name, parameter.toArray()]),
    frozen: lora.namedParameters().map(([name, parameter]) => [name, parameter.requiresGrad]),
    adapters: [lora.adapters, lora.activeAdapters],
    merged: loraLayers(lora).map(({ mergedAdapters, weight }) => [mergedAdapters, weight.toArray()]),
    modes: lora.namedModules().map(([name, module]) => [name, module.training, module.constructor.name]),
    report: lora.report().toString(),
    output: valuesOf(rt, lora, x),
    blocks: rt.engine.use().blocks,
  };
}

interface Case {
  readonly name: string;
  readonly configs: readonly LoraConfig[];
  /** Brings the model into the state that the call begins with. */
  readonly before?: (lora: LoraModel) => void;
  /** The call. What it makes is disposed of by `after`. */
  readonly call: (lora: LoraModel, x: Tensor) => unknown;
  readonly allocates: boolean;
}

const CASES: readonly Case[] = [
  { name: 'merge', configs: [ALL, ALL], call: (lora) => lora.merge(), allocates: true },
  { name: 'merge of DoRA', configs: [DORA], call: (lora) => lora.merge(), allocates: true },
  {
    name: 'merge over merged layers',
    configs: [ALL, PISSA],
    before: (lora) => lora.merge(['a0']),
    call: (lora) => lora.merge(),
    allocates: true,
  },
  {
    name: 'unmerge of one of several',
    configs: [ALL, { ...ALL, targetModules: ['fc1', 'conv', 'head'] }],
    before: (lora) => lora.merge(),
    call: (lora) => lora.unmerge(['a0']),
    allocates: true,
  },
  {
    name: 'unmerge',
    configs: [ALL, PISSA],
    before: (lora) => lora.merge(),
    call: (lora) => lora.unmerge(),
    allocates: false,
  },
  {
    name: 'verifyMerge',
    configs: [ALL, PISSA],
    before: (lora) => loraLayers(lora)[2]!.merge(['a1']),
    call: (lora, x) => lora.verifyMerge(x),
    allocates: true,
  },
  {
    name: 'withAdaptersDisabled',
    configs: [ALL, PISSA],
    before: (lora) => lora.merge(['a0']),
    call: (lora, x) => lora.withAdaptersDisabled(() => valuesOf(x.runtime, lora, x)),
    allocates: true,
  },
  {
    name: 'exportAdapter',
    configs: [{ ...ALL, targetModules: ['fc1', 'fc2'], bias: 'all', loraBias: true }],
    before: (lora) => lora.merge(),
    call: (lora) => lora.exportAdapter(),
    allocates: false,
  },
  {
    name: 'addAdapter',
    configs: [{ ...ALL, targetModules: ['fc1'] }],
    before: (lora) => lora.merge(),
    call: (lora) => lora.addAdapter('new', { ...DORA, bias: 'all' }),
    allocates: true,
  },
  {
    name: 'addAdapter of PiSSA',
    configs: [{ ...ALL, targetModules: ['fc1'] }],
    call: (lora) => lora.addAdapter('new', PISSA),
    allocates: true,
  },
  {
    name: 'addWeightedAdapter',
    configs: [ALL, { ...ALL, r: 4 }],
    call: (lora) => lora.addWeightedAdapter(['a0', 'a1'], [1, -1], { name: 'new' }),
    allocates: true,
  },
];

describeRuntimes('out of memory', (rt) => {
  test.each(CASES)('$name: nothing has changed, whichever allocation fails', async (each) => {
    const make = (): LoraModel => {
      const lora = attach(rt(), ...each.configs);
      each.before?.(lora);
      return lora;
    };
    const x = idsFor(rt());
    // The first run takes the scratch that all later ones have.
    const first = make();
    each.call(first, x);
    first.dispose();
    const lora = make();
    const state = stateOf(rt(), lora, x);
    const taken = await failEachAllocation(
      rt(),
      () => each.call(lora, x),
      () => expect(stateOf(rt(), lora, x)).toEqual(state),
    );
    if (each.allocates) expect(taken).toBeGreaterThan(0);
    else expect(taken).toBe(0);
    lora.dispose();
    x.dispose();
  });

  test.each([
    ['over layers that are merged in part', [ALL, { ...ALL, r: 4 }], (lora: LoraModel) => lora.merge(['a1'])],
    ['with a base of its own for a tied layer', [PISSA, ALL], () => {}],
    [
      'with trained biases',
      [{ ...ALL, targetModules: ['fc1', 'fc2', 'conv'], bias: 'all', loraBias: true }],
      () => {},
    ],
  ] as const)(
    'mergeAndUnload %s: the model is attached as before until all of it is merged',
    async (_, configs, before) => {
      const lora = attach(rt(), ...configs);
      const x = idsFor(rt());
      before(lora);
      lora.verifyMerge(x);
      const state = stateOf(rt(), lora, x);
      const output = valuesOf(rt(), lora, x);
      let plain: Layer | null = null;
      const taken = await failEachAllocation(
        rt(),
        () => {
          plain = lora.mergeAndUnload();
        },
        () => expect(stateOf(rt(), lora, x)).toEqual(state),
      );
      expect(taken).toBeGreaterThan(1);
      expect(apart(valuesOf(rt(), plain!, x), output)).toBeLessThan(1e-4);
      x.dispose();
    },
  );

  test('mergeAndUnload gives back what the first layers took for it when a later one fails', async () => {
    const first = new Linear(rt(), 4, 4, { bias: false });
    const [second, third] = [1, 2].map(() => new Linear(rt(), 4, 4, { bias: false, weight: first.weight }));
    const lora = LoraModel.attach(new Sequential(first, second!, third!), {
      ...{ r: 2, targetModules: ['1', '2'], initLoraWeights: 'pissa' },
    });
    const x = rt().normal([2, 4]).keep();
    lora.verifyMerge(x);
    const output = valuesOf(rt(), lora, x);
    const { blocks } = rt().engine.use();
    await failEachAllocation(
      rt(),
      () => lora.mergeAndUnload(),
      () => expect(rt().engine.use().blocks).toBe(blocks),
    );
    expect(apart(valuesOf(rt(), lora.model, x), output)).toBeLessThan(1e-5);
    x.dispose();
  });

  test('unload takes no memory', async () => {
    const lora = attach(rt(), ALL, PISSA);
    const model = lora.model;
    const base = lora.withAdaptersDisabled(() => model.fc1.weight.toArray());
    lora.merge();
    expect(
      await failEachAllocation(
        rt(),
        () => lora.unload(),
        () => {},
      ),
    ).toBe(0);
    expect(model.fc1.weight.toArray()).toEqual(base);
    model.dispose();
  });
});

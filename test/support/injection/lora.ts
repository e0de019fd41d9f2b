/** Injection scenarios of LoRA layers, whose own are in lora-layers.ts, and of LoraModel. */
import { type LoraConfig, LoraModel, type Runtime, type Tensor } from '../../../src/index.js';
import { COMBINATIONS } from '../../../src/lora/combining/combine.js';
import { LAYER_KINDS, valuesOf } from '../layers.js';
import { forwardScenario, targetFor, trainStep } from './layers.js';
import { LAYER_OPTIONS, layerScenarios } from './lora-layers.js';
import { CONFIGS, FROM_BASE, fits, NETS, type Net, stirModel, twoAdapters } from './nets.js';
import type { Built, Draw, Scenario } from './scenario.js';

export function configured(net: Net, config: Partial<LoraConfig>): Scenario[] {
  const full = { ...config, targetModules: net.targets };
  const label = `${net.name} with ${JSON.stringify(config)}`;
  return [
    {
      title: `attach to ${label}`,
      covers: ['LoraModel', 'LoraModel.attach'],
      build(rt, draw) {
        const { model, x } = net.make(rt, draw);
        return { holders: [model, x], run: () => LoraModel.attach(model, full, 'a') };
      },
    },
    {
      title: `addAdapter to ${label}`,
      covers: ['LoraModel.addAdapter'],
      build(rt, draw) {
        const { model, x } = net.make(rt, draw);
        const lora = LoraModel.attach(model, { r: 4, targetModules: net.targets }, 'first');
        return { holders: [lora, x], run: () => lora.addAdapter('second', full) };
      },
    },
    {
      title: `a step of training of ${label}`,
      covers: ['WrappedModel.forward', 'Tensor.backward'],
      build(rt, draw) {
        const { model, x } = net.make(rt, draw);
        const lora = LoraModel.attach(model, full, 'a');
        stirModel(rt, lora);
        const target = targetFor(rt, lora, x);
        trainStep(rt, lora, [x], target);
        return { holders: [lora, x, target], run: () => trainStep(rt, lora, [x], target) };
      },
    },
    forwardScenario(label, ['WrappedModel.forward'], (rt, draw) => {
      const { model, x } = net.make(rt, draw);
      return { module: LoraModel.attach(model, full, 'a'), x };
    }),
    {
      title: `exportAdapter and loadAdapter of ${label}`,
      covers: ['LoraModel.exportAdapter', 'LoraModel.loadAdapter'],
      build(rt, draw) {
        const { model, x } = net.make(rt, draw);
        const lora = LoraModel.attach(model, full, 'a');
        if (!FROM_BASE.has(String(config.initLoraWeights))) stirModel(rt, lora);
        return {
          holders: [lora, x],
          run: async () => {
            const files = lora.exportAdapter('a');
            return [files, await lora.loadAdapter('again', files)];
          },
        };
      },
    },
  ];
}

/** What was merged is out of the weight while a function runs, which may record graphs: their versions may not come again. */
const CHANGED_BETWEEN = { versions: false };

/** A call on a model with two adapters. */
function onTwo(
  title: string,
  covers: readonly string[],
  prepare: (lora: LoraModel, given: { rt: Runtime; x: Tensor; draw: Draw }) => () => unknown,
  rest: Pick<Built, 'versions'> = {},
): Scenario[] {
  return NETS.map((net) => ({
    title: `${title}, ${net.name}`,
    covers,
    build(rt, draw): Built {
      const { lora, model, x } = twoAdapters(rt, draw, net);
      const run = prepare(lora, { rt, x, draw });
      return { holders: [lora, model, x], run, ...rest };
    },
  }));
}

const MODEL_CALLS: readonly Scenario[] = [
  ...onTwo('merge', ['LoraModel.merge'], (lora) => () => lora.merge()),
  ...onTwo('merge with safe', ['LoraModel.merge'], (lora) => () => lora.merge(['b'], { safe: true })),
  ...onTwo('merge the rest', ['LoraModel.merge'], (lora) => {
    lora.merge(['a']);
    return () => lora.merge();
  }),
  ...onTwo('unmerge one', ['LoraModel.unmerge'], (lora) => {
    lora.merge();
    return () => lora.unmerge(['a']);
  }),
  ...onTwo('unmerge', ['LoraModel.unmerge'], (lora) => {
    lora.merge();
    return () => lora.unmerge();
  }),
  ...onTwo(
    'verifyMerge',
    ['LoraModel.verifyMerge'],
    (lora, { x }) =>
      () =>
        lora.verifyMerge(x),
  ),
  ...onTwo(
    'verifyMerge while merged',
    ['LoraModel.verifyMerge'],
    (lora, { x }) => {
      lora.merge(['b']);
      return () => lora.verifyMerge(x);
    },
    CHANGED_BETWEEN,
  ),
  ...onTwo('mergeAndUnload', ['LoraModel.mergeAndUnload'], (lora) => () => lora.mergeAndUnload()),
  ...onTwo('mergeAndUnload, partly merged', ['LoraModel.mergeAndUnload'], (lora) => {
    lora.merge(['b']);
    return () => lora.mergeAndUnload({ safe: true });
  }),
  ...onTwo('unload', ['LoraModel.unload'], (lora) => {
    lora.merge(['b']);
    return () => lora.unload();
  }),
  ...onTwo('deleteAdapter', ['LoraModel.deleteAdapter'], (lora) => () => lora.deleteAdapter('a')),
  ...onTwo('setAdapter', ['LoraModel.setAdapter', 'LoraModel.setTrainable'], (lora) => () => {
    lora.setAdapter('b');
    lora.setTrainable('b');
  }),
  ...onTwo(
    'withAdaptersDisabled, merged',
    ['LoraModel.withAdaptersDisabled'],
    (lora, { rt, x }) => {
      lora.merge(['a']);
      return () => lora.withAdaptersDisabled(() => valuesOf(rt, lora, x));
    },
    CHANGED_BETWEEN,
  ),
  ...onTwo('withAdapterNames', ['LoraModel.withAdapterNames', 'WrappedModel.forward'], (lora, { rt, x }) => {
    lora.eval();
    const adapterNames = Array.from({ length: x.shape[0]! }, (_, i) => ['a', '__base__', 'b'][i % 3]!);
    return () =>
      rt.scope(() => rt.noGrad(() => lora.withAdapterNames(adapterNames, () => lora.forward(x)).toArray()));
  }),
  ...COMBINATIONS.flatMap((combinationType) =>
    onTwo(`addWeightedAdapter by ${combinationType}`, ['LoraModel.addWeightedAdapter'], (lora) => {
      const density = /ties|dare|prune/.test(combinationType) ? { density: 0.5 } : {};
      return () => lora.addWeightedAdapter(['a', 'b'], [0.5, 2], { combinationType, ...density });
    }).filter(({ title }) => !(combinationType.includes('svd') && title.includes('grouped'))),
  ),
];

/** An adapter with a copy of a whole module, beside one layer that it adapts. */
const SAVING: readonly Scenario[] = configured(
  { ...NETS[0]!, targets: ['0'] },
  { r: 2, modulesToSave: ['2'] },
);

export const LORA: readonly Scenario[] = [
  ...LAYER_KINDS.flatMap((kind) =>
    LAYER_OPTIONS.filter(
      ({ loraBias }) => loraBias !== true || ['Linear', 'Conv2d'].includes(kind.name),
    ).flatMap((options) => layerScenarios(kind, options)),
  ),
  ...NETS.flatMap((net) =>
    CONFIGS.filter((config) => fits(net, config)).flatMap((config) => configured(net, config)),
  ),
  ...SAVING,
  ...MODEL_CALLS,
];

/** Injection scenarios of single LoRA layers and of LoraModel. */
import {
  Conv2d,
  Embedding,
  Flatten,
  GELU,
  type Layer,
  Linear,
  type LoraConfig,
  type LoraLayerOptions,
  LoraModel,
  ReLU,
  type Runtime,
  Sequential,
  type Tensor,
} from '../../../src/index.js';
import { COMBINATIONS } from '../../../src/lora/combining/combine.js';
import { LoraLayer } from '../../../src/lora/layer/lora-layer.js';
import { LAYER_KINDS, stir, valuesOf } from '../layers.js';
import { forwardScenario, targetFor, trainStep } from './layers.js';
import { indices, leaf } from './operations.js';
import type { Built, Draw, Scenario } from './scenario.js';

const LAYER_OPTIONS: readonly LoraLayerOptions[] = [
  { r: 2 },
  { r: 2, loraDropout: 0.4 },
  { r: 2, useDora: true, loraDropout: 0.4 },
  { r: 2, loraBias: true, initLoraWeights: false },
];

function layerScenarios(kind: (typeof LAYER_KINDS)[number], options: LoraLayerOptions): Scenario[] {
  const label = `${kind.name} with ${JSON.stringify(options)}`;
  const made = (rt: Runtime) => {
    const layer = kind.wrap(kind.base(rt), options);
    stir(rt, layer);
    const x = kind.input(rt);
    if (x.dtype === 'f32') x.requiresGrad = true;
    return { layer, x };
  };
  const name = { linear: 'LoraLinear', embedding: 'LoraEmbedding', conv2d: 'LoraConv2d' };
  const title = Object.entries(name).find(([key]) => kind.name.toLowerCase().startsWith(key))![1];
  const step = (primed: boolean): Scenario => ({
    title: `${label}: forward and backward${primed ? ' onto gradients' : ''}`,
    covers: ['LoraLayer.forward'],
    build(rt) {
      const { layer, x } = made(rt);
      const target = targetFor(rt, layer, x);
      const run = (): unknown => trainStep(rt, layer, [x], target);
      if (primed) run();
      return { holders: [layer, x, target], run };
    },
  });
  return [
    {
      title: `${label}: from`,
      covers: [`${title}.from`, 'LoraLayer', 'LoraLayer.from'],
      build(rt) {
        const base = kind.base(rt);
        return { holders: [base], run: () => kind.wrap(base, options) };
      },
    },
    step(false),
    step(true),
    forwardScenario(label, ['LoraLayer.forward'], (rt) => {
      const { layer, x } = made(rt);
      return { module: layer, x };
    }),
    {
      title: `${label}: deltaWeight`,
      covers: ['LoraLayer.deltaWeight'],
      build(rt) {
        const { layer, x } = made(rt);
        return { holders: [layer, x], run: () => layer.deltaWeight() };
      },
    },
    {
      title: `${label}: merge`,
      covers: ['LoraLayer.merge'],
      build(rt) {
        const { layer, x } = made(rt);
        return { holders: [layer, x], run: () => layer.merge(undefined, { safe: true }) };
      },
    },
    {
      title: `${label}: unmerge`,
      covers: ['LoraLayer.unmerge'],
      build(rt) {
        const { layer, x } = made(rt);
        layer.merge();
        return { holders: [layer, x], run: () => layer.unmerge() };
      },
    },
  ];
}

/** A model with an input. */
interface Net {
  readonly name: string;
  make(rt: Runtime, draw: Draw): { model: Layer; x: Tensor };
  readonly targets: readonly string[];
  /** Whether every layer can begin from its base. */
  readonly fromBase: boolean;
}

export const NETS: readonly Net[] = [
  {
    name: 'two linear layers, one of 16 bits',
    make(rt, draw) {
      const width = draw.size(5);
      const half = new Linear(rt, width, 4, { dtype: 'bf16' });
      const model = new Sequential(new Linear(rt, 6, width), new ReLU(), half);
      return { model, x: leaf(rt, [3, 6]) };
    },
    targets: ['0', '2'],
    fromBase: true,
  },
  {
    name: 'embedding and linear, tied',
    make(rt) {
      const table = new Embedding(rt, 7, 6);
      const head = new Linear(rt, 6, 7, { bias: false, weight: table.weight });
      return { model: new Sequential(table, head), x: indices(rt, [2, 3], 7) };
    },
    targets: ['0', '1'],
    fromBase: false,
  },
  {
    name: 'convolutions, one grouped and of 16 bits, and linear',
    make(rt, draw) {
      const channels = draw.size(4, 2);
      const first = new Conv2d(rt, 2, channels, 2);
      const second = new Conv2d(rt, channels, 4, 2, { groups: 2, dtype: 'f16' });
      const model = new Sequential(first, new GELU(), second, new Flatten(), new Linear(rt, 16, 3));
      return { model, x: leaf(rt, [2, 2, 4, 4]) };
    },
    targets: ['0', '2', '4'],
    fromBase: false,
  },
];

/** Options of an adapter besides its targets; those that begin from the base need linear layers only. */
export const CONFIGS: readonly (Partial<LoraConfig> & { readonly fromBase?: boolean })[] = [
  { r: 2 },
  { r: 2, loraDropout: 0.4, initLoraWeights: false },
  { r: 2, useDora: true, initLoraWeights: 'gaussian' },
  { r: 2, useDora: true, loraDropout: 0.4 },
  { r: 2, bias: 'all', loraBias: true },
  { r: 2, initLoraWeights: 'pissa' },
  { r: 2, initLoraWeights: 'pissa_niter_2' },
  { r: 2, initLoraWeights: 'olora' },
  { r: 2, initLoraWeights: 'orthogonal' },
];

const FROM_BASE = new Set(['pissa', 'pissa_niter_2', 'olora', 'orthogonal']);

/** Whether a net can have such an adapter. */
export function fits(net: Net, config: Partial<LoraConfig>): boolean {
  return net.fromBase || !(FROM_BASE.has(String(config.initLoraWeights)) || config.loraBias === true);
}

/** Values for every adapter, so that each does something. */
export function stirModel(rt: Runtime, lora: LoraModel): void {
  for (const [, layer] of lora.namedModules())
    if (layer instanceof LoraLayer) for (const name of layer.adapters) stir(rt, layer as never, name);
}

/** A model with adapters 'a' and 'b', both active. */
function twoAdapters(rt: Runtime, draw: Draw, net: Net, config: Partial<LoraConfig> = { r: 2 }) {
  const { model, x } = net.make(rt, draw);
  const full = { ...config, targetModules: net.targets };
  const lora = LoraModel.attach(model, full, 'a');
  lora.addAdapter('b', { ...full, targetModules: net.targets.slice(1) });
  stirModel(rt, lora);
  lora.setAdapter(['a', 'b']);
  return { lora, model, x, full };
}

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

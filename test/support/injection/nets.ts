/** Models with inputs, and the options of adapters that fit them, for the injection scenarios of LoraModel. */
import {
  Conv2d,
  Embedding,
  Flatten,
  GELU,
  type Layer,
  Linear,
  type LoraConfig,
  LoraModel,
  ReLU,
  type Runtime,
  Sequential,
  type Tensor,
} from '../../../src/index.js';
import { LoraLayer } from '../../../src/lora/layer/lora-layer.js';
import { stir } from '../layers.js';
import { leaf } from '../tensors.js';
import { indices } from './operations.js';
import type { Draw } from './scenario.js';

/** A model with an input. */
export interface Net {
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

export const FROM_BASE = new Set(['pissa', 'pissa_niter_2', 'olora', 'orthogonal']);

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
export function twoAdapters(rt: Runtime, draw: Draw, net: Net, config: Partial<LoraConfig> = { r: 2 }) {
  const { model, x } = net.make(rt, draw);
  const full = { ...config, targetModules: net.targets };
  const lora = LoraModel.attach(model, full, 'a');
  lora.addAdapter('b', { ...full, targetModules: net.targets.slice(1) });
  stirModel(rt, lora);
  lora.setAdapter(['a', 'b']);
  return { lora, model, x, full };
}

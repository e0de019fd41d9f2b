/** Injection scenarios of single LoRA layers. */
import type { LoraLayerOptions, Runtime } from '../../../src/index.js';
import { type LAYER_KINDS, stir } from '../layers.js';
import { forwardScenario, targetFor, trainStep } from './layers.js';
import type { Scenario } from './scenario.js';

export const LAYER_OPTIONS: readonly LoraLayerOptions[] = [
  { r: 2 },
  { r: 2, loraDropout: 0.4 },
  { r: 2, useDora: true, loraDropout: 0.4 },
  { r: 2, loraBias: true, initLoraWeights: false },
];

export function layerScenarios(kind: (typeof LAYER_KINDS)[number], options: LoraLayerOptions): Scenario[] {
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

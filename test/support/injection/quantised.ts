/** Injection scenarios of quantised weights: layers over them, and adapters merged into them. */
import { Linear, LoraModel, type MergeOptions, type Runtime, Sequential } from '../../../src/index.js';
import type { LoraLinear } from '../../../src/lora/layer/of-kind.js';
import { quantised } from '../blocks.js';
import { stir } from '../layers.js';
import { leaf } from '../tensors.js';
import { targetFor, trainStep } from './layers.js';
import type { Scenario } from './scenario.js';

/** One layer that is adapted, one that an adapter may save whole. */
function model(rt: Runtime): Sequential {
  const first = new Linear(rt, 32, 32, { weight: quantised(rt, 'q8_0', [32, 32]) });
  const second = new Linear(rt, 32, 3, { weight: quantised(rt, 'q4_0', [3, 32]), bias: false });
  return new Sequential(first, second);
}

function attached(rt: Runtime, more: object = {}): LoraModel<Sequential> {
  const config = { r: 2, targetModules: ['0'] };
  const lora = LoraModel.attach(model(rt), { ...config, ...more }, 'a');
  lora.addAdapter('b', config);
  for (const name of ['a', 'b']) stir(rt, lora.layer('0') as unknown as LoraLinear, name);
  lora.setAdapter('useDora' in more ? ['a'] : ['a', 'b']);
  return lora;
}

const HOW: readonly MergeOptions[] = [{ quantised: 'dequantise' }, { quantised: 'requantise', safe: true }];

function call(
  title: string,
  covers: string,
  prepare: (lora: LoraModel<Sequential>) => () => unknown,
  more: object = {},
): Scenario {
  return {
    title: `quantised: ${title}`,
    covers: [covers],
    build(rt) {
      const lora = attached(rt, more);
      return { holders: [lora, lora.model], run: prepare(lora) };
    },
  };
}

export const QUANTISED_WEIGHTS: readonly Scenario[] = [
  {
    title: 'quantised: a parameter is made, and filled',
    covers: ['Runtime.parameter'],
    build: (rt) => ({ holders: [], run: () => quantised(rt, 'q4_K', [3, 512]) }),
  },
  {
    title: 'quantised: a layer is made',
    covers: ['Linear'],
    build: (rt) => ({ holders: [], run: () => new Linear(rt, 32, 3, { dtype: 'q5_1' }) }),
  },
  {
    title: 'quantised: values are read, and a state dict goes round',
    covers: ['Tensor.toArray', 'Module.stateDict', 'Module.loadStateDict'],
    build(rt) {
      const [from, to] = [model(rt), model(rt)];
      const run = (): unknown[] => [
        from.parameters().map((one) => one.toArray()),
        to.loadStateDict(from.stateDict()),
      ];
      return { holders: [from, to], run };
    },
  },
  ...[{}, { useDora: true, loraDropout: 0.4 }, { modulesToSave: ['1'] }].map(
    (more): Scenario => ({
      title: `quantised: a step of training with ${JSON.stringify(more)}`,
      covers: ['WrappedModel.forward', 'Tensor.backward'],
      build(rt) {
        const lora = attached(rt, more);
        const x = leaf(rt, [4, 32]);
        const target = targetFor(rt, lora, x);
        trainStep(rt, lora, [x], target);
        return { holders: [lora, x, target], run: () => trainStep(rt, lora, [x], target) };
      },
    }),
  ),
  ...HOW.flatMap((options) => {
    const how = JSON.stringify(options);
    return [
      call(`merge with ${how}`, 'LoraModel.merge', (lora) => () => lora.merge(undefined, options)),
      call(`merge DoRA with ${how}`, 'LoraModel.merge', (lora) => () => lora.merge(undefined, options), {
        useDora: true,
      }),
      call(`merge the rest with ${how}`, 'LoraModel.merge', (lora) => {
        lora.merge(['a'], options);
        return () => lora.merge();
      }),
      call(`unmerge one of ${how}`, 'LoraModel.unmerge', (lora) => {
        lora.merge(undefined, options);
        return () => lora.unmerge(['a']);
      }),
      call(
        `mergeAndUnload with ${how}`,
        'LoraModel.mergeAndUnload',
        (lora) => () => lora.mergeAndUnload(options),
        {
          modulesToSave: ['1'],
        },
      ),
    ];
  }),
];

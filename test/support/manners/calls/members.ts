/** Right calls of the members of tensors, layers, adapters, trainers and optimisers. */
import type { Module } from '../../../../src/index.js';
import type { Trainer } from '../../../../src/train/index.js';
import type { World } from '../world.js';
import { adapterConfig } from './construction.js';
import { plainFile } from './files.js';
import { type Calls, options } from './options.js';

export function members({ rt, objects }: World): Calls {
  const t = objects.byName;
  const state = {
    weight: { shape: [3, 4], data: new Float32Array(12) },
    bias: { shape: [3], data: [1, 2, 3] },
  };
  const layers = [
    'Linear',
    'Conv2d',
    'Embedding',
    'LayerNorm',
    'RMSNorm',
    'Dropout',
    'Flatten',
    'ReLU',
    'Sequential',
  ];
  const adapted = ['LoraLayer', 'LoraModel'];
  const each = (names: readonly string[], member: string, calls: Calls[string]): Calls =>
    Object.fromEntries(names.map((name) => [`${name}.${member}`, calls]));
  return {
    'Runtime.tensor': () => [[[1, 2, 3], [3, 1], options({ dtype: 'f32', requiresGrad: true })]],
    'Runtime.parameter': () => [
      [[1, 2, 3], [3, 1], options({ dtype: 'f32', requiresGrad: true })],
      [null, [2], options({ dtype: 'bf16' })],
    ],
    'Runtime.zeros': () => [[[2, 2], options({ dtype: 'i32', requiresGrad: false })]],
    'Runtime.full': () => [[[2], 1]],
    'Runtime.uniform': () => [[[2], 0, 1]],
    'Runtime.normal': () => [[[2], 1]],
    'Runtime.scope': () => [[() => rt.zeros([1])], [() => ({ x: rt.zeros([1]) })]],
    'Runtime.noGrad': () => [[() => 1]],
    'Tensor.set': () => [[new Float32Array(6)], [t.matrix]],
    'Tensor.writeBytes': () => [[new Uint8Array(4), 8]],
    'Tensor.copyTo': () => [[new Float32Array(6)]],
    'Tensor.backward': () => [[], [t.matrix]],
    'Tensor.requiresGrad =': () => [[true]],
    'Tensor.grad =': () => [[t.matrix], [null]],
    ...each([...layers, 'LoraLayer'], 'forward', () => [[t.rows], [t.images], [t.ids], [t.matrix]]),
    ...each(['Module', 'WrappedModel'], 'train', () => [[true]]),
    'Module.loadStateDict': () => [[state, options({ strict: false })]],
    ...each(adapted, 'setScale', () => [['default', 2]]),
    ...each(adapted, 'merge', () => [[['default'], options({ safe: true })]]),
    ...each(adapted, 'unmerge', () => [[['default']]]),
    'LoraLayer.factors': () => [['default']],
    'LoraLayer.deltaWeight': () => [['default']],
    'WrappedModel.forward': () => [[t.rows]],
    'LoraModel.layer': () => [['0']],
    'LoraModel.addAdapter': () => [['third', options(adapterConfig())]],
    'LoraModel.addWeightedAdapter': () => [
      [
        ['default', 'second'],
        [1, 0.5],
        options({
          name: 'sum',
          combinationType: 'svd',
          svdRank: 1,
          density: 0.5,
          majoritySignMethod: 'total',
        }),
      ],
    ],
    'WrappedModel.parameterGroups': () => [
      [
        options({
          lr: 0.1,
          loraPlusLrRatio: 2,
          loraPlusLrEmbedding: 0.1,
          weightDecay: 0,
          decayVectors: true,
        }),
      ],
    ],
    'LoraModel.setAdapter': () => [['default'], [['default', 'second']]],
    'LoraModel.setTrainable': () => [['default'], [['default']]],
    'LoraModel.deleteAdapter': () => [['second']],
    'LoraModel.withAdaptersDisabled': () => [[() => 1]],
    'LoraModel.withAdapterNames': () => [[['default', '__base__'], () => 1]],
    'LoraModel.verifyMerge': () => [[t.rows]],
    'LoraModel.mergeAndUnload': () => [
      [options({ safe: true, quantised: 'dequantise', onMerged: () => {} })],
    ],
    'LoraModel.exportAdapter': () => [
      [
        'default',
        options({ convert: true, allowNonFinite: false, taskType: null, baseModelNameOrPath: 'base' }),
      ],
    ],
    'LoraModel.loadAdapter': () => [
      [
        'read',
        {
          ...{ format: 'mlx', extras: [], config: null, warnings: [] },
          modules: [{ ...plainFile().file.modules[0]!, path: '0' }],
        },
      ],
      [
        'loaded',
        t.files,
        options({ trainable: true, strict: true, prefix: 'base_model.model.', base: 'original' }),
      ],
    ],
    'Trainer.run': () => [[options({ signal: new AbortController().signal })]],
    'Trainer.restore': () => [[(t.trainer as Trainer<number, Module>).save()]],
    'Optimizer.lr =': () => [[0.1]],
    'Optimizer.scaleLr': () => [[0.5]],
    'Optimizer.exportState': () => [[t.lora], [[['a', Reflect.get(t.linear!, 'weight')]]]],
    'Optimizer.importState': () => [[t.lora, { a: state.weight }]],
    'Runtime.setRandomState': () => [[options({ seed: 1, draws: 2, layers: 3 })]],
  };
}

/** Right calls of what makes layers, optimisers, adapters and trainers. */
import type { World } from '../world.js';
import { type Calls, options } from './options.js';

export const ADAPTER = { r: 2, loraAlpha: 4, loraDropout: 0.1, useRslora: true, initLoraWeights: 'gaussian' };

export function construction({ rt, objects }: World): Calls {
  const t = objects.byName;
  const layer = { ...ADAPTER, useDora: false, loraBias: false };
  const trained = (): unknown => Reflect.get(t.linear!, 'weight');
  const bias = (): unknown => Reflect.get(t.linear!, 'bias');
  return {
    'new Linear': () => [[rt, 4, 3, options({ bias: true, fanInFanOut: false, dtype: 'bf16' })]],
    'new Conv2d': () => [
      [
        rt,
        4,
        2,
        [3, 3],
        options({ stride: 1, padding: 0, dilation: 1, groups: 2, bias: true, dtype: 'f16' }),
      ],
    ],
    'new Embedding': () => [[rt, 7, 4, options({ paddingIdx: -1, dtype: 'bf16' })]],
    'new LayerNorm': () => [[rt, [3, 2], options({ eps: 1e-5, affine: true, bias: true })]],
    'new RMSNorm': () => [[rt, 3, options({ eps: 1e-6 })]],
    'new Dropout': () => [[rt, 0.5]],
    'new Flatten': () => [[1]],
    'new GELU': () => [[options({ approximate: 'none' })]],
    'new MaxPool2d': () => [[2, options({ stride: 2, padding: 1, dilation: 1 })]],
    'new Sequential': () => [[t.relu, t.gelu]],
    'new SGD': () => [
      [[trained()], options({ lr: 0.1, momentum: 0.9, dampening: 0, nesterov: true, weightDecay: 0 })],
      [
        [options({ parameters: [trained()], lr: 0.1, weightDecay: 0 }), { parameters: [bias()] }],
        options({ lr: 0.2 }),
      ],
    ],
    ...Object.fromEntries(
      ['new Adam', 'new AdamW'].map((name) => [
        name,
        () => [[[trained()], options({ lr: 0.1, betas: [0.9, 0.99], eps: 1e-8, weightDecay: 0.1 })]],
      ]),
    ),
    'LoraLinear.from': () => [
      [t.linear, options(layer)],
      [t.linear, { r: 1, slices: options({ sizes: [1, 2], adapted: [true, false] }) }],
    ],
    'LoraLayer.from': () => [[t.linear, options(layer)], [t.turned]],
    'LoraConv2d.from': () => [[t.conv, options(layer)]],
    'LoraEmbedding.from': () => [[t.embedding, options(layer)]],
    'new Trainer': () => [
      [t.sequential, [1], options(trainerOptions())],
      [t.lora, { rows: 2, batchSize: 1, batch: () => 1, hash: 'x' }, { loss: () => 1 }],
    ],
    'LoraModel.attach': () => [[t.sequential, options(adapterConfig()), 'mine']],
  };
}

/** Every option of a Trainer that goes with the others. */
export function trainerOptions(): object {
  return {
    ...{
      loss: () => 1,
      schedule: 'cosine',
      warmup: 1,
      steps: 2,
      accumulate: 1,
      clipNorm: 1,
      shuffle: true,
      seed: 1,
    },
    ...{
      evaluate: [1],
      evaluateEvery: 1,
      greaterIsBetter: false,
      earlyStop: options({ patience: 1, minDelta: 0 }),
    },
    ...{
      keepBest: true,
      store: { save: async () => {}, latest: async () => null },
      saveEvery: 1,
      resume: true,
    },
    ...{ tags: {}, onWarning: () => {} },
  };
}

export function adapterConfig(): object {
  return {
    ...{ ...ADAPTER, targetModules: ['0'], excludeModules: null, rankPattern: { '0': 1 }, alphaPattern: {} },
    ...{ modulesToSave: null, bias: 'none', fanInFanOut: false },
  };
}

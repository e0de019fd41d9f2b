/** Wrong calls of layers, adapters and optimisers, each with its title and a part of its message. */
import {
  Adam,
  AdamW,
  clipGradNorm,
  Linear,
  LoraLinear,
  LoraModel,
  type Runtime,
  Sequential,
  SGD,
} from '../../../src/index.js';
import { wrong } from '../wrong.js';
import type { BadInput } from './tensors.js';

export const twoLayers = (rt: Runtime): Sequential =>
  new Sequential(new Linear(rt, 4, 3), new Linear(rt, 3, 2));

/** @param layer - that nothing may change, 784 wide */
export function wrongLayers(rt: Runtime, layer: Linear): BadInput[] {
  const x = rt.zeros([10, 783]);
  const model = (): Sequential => twoLayers(rt);
  const attached = (): LoraModel => LoraModel.attach(model(), { r: 2, targetModules: ['0'] });
  return [
    ['x too narrow', () => layer.forward(x), 'Linear.forward: x is [10, 783], expected [..., 784]'],
    [
      'x too narrow for LoRA',
      () => LoraLinear.from(new Linear(rt, 784, 10)).forward(x),
      'LoraLinear.forward: x is [10, 783], expected [..., 784]',
    ],
    [
      'wrong dtype',
      () => layer.forward(rt.zeros([1, 784], { dtype: 'i32' })),
      'Linear.forward: x is i32, expected f32',
    ],
    ['no tensor', () => layer.forward(wrong(7)), 'Linear.forward: x is 7, expected a Tensor'],
    [
      'a Map as options',
      () => new Linear(rt, 1, 1, wrong(new Map([['bias', false]]))),
      'Linear: options are Map, expected a plain object',
    ],
    [
      'an instance as options',
      () => new SGD([layer.weight], wrong(new (class Mine {})())),
      'SGD: options are Mine, expected a plain object',
    ],
    [
      'safe as a number',
      () => attached().merge(undefined, { safe: wrong(1) }),
      'LoraModel.merge: safe is 1, expected a boolean',
    ],
    [
      'safe as a number for a layer',
      () => LoraLinear.from(new Linear(rt, 2, 2)).merge(undefined, { safe: wrong(1) }),
      'LoraLinear.merge: safe is 1, expected a boolean',
    ],
    [
      'safe as a number at the end',
      () => attached().mergeAndUnload({ safe: wrong('yes') }),
      "LoraModel.mergeAndUnload: safe is 'yes', expected a boolean",
    ],
    [
      'allowNonFinite in words',
      () => attached().exportAdapter('default', { allowNonFinite: wrong('no') }),
      "LoraModel.exportAdapter: allowNonFinite is 'no', expected a boolean",
    ],
    [
      'strict as a number',
      () => model().loadStateDict({}, { strict: wrong(0) }),
      'Sequential.loadStateDict: strict is 0, expected a boolean',
    ],
    [
      'names that are none',
      () => attached().setAdapter(wrong(7)),
      'LoraModel.setAdapter: names is 7, expected a name or an array of names',
    ],
    [
      'a hole among names',
      () => attached().merge(Object.assign(['default'], { 2: 'default' })),
      'LoraModel.merge: name 1 is undefined, expected a string',
    ],
    ['no runtime', () => new Linear(wrong(784), 10, 1), 'Linear: runtime is 784, expected a Runtime'],
    ['no features', () => new Linear(rt, 0, 1), 'Linear: inFeatures is 0, expected an integer from 1'],
    [
      'unknown layer option',
      () => new Linear(rt, 1, 1, wrong({ bais: true })),
      "Linear: unknown option 'bais', expected one of bias",
    ],
    ['rank 0', () => LoraLinear.from(layer, { r: 0 }), 'LoraLinear.from: r is 0, expected an integer from 1'],
    ['rank 1.5', () => LoraLinear.from(layer, { r: 1.5 }), 'r is 1.5, expected an integer'],
    ['rank as text', () => LoraLinear.from(layer, { r: wrong('8') }), "r is '8', expected an integer"],
    [
      'dropout 2',
      () => LoraLinear.from(layer, { loraDropout: 2 }),
      'loraDropout is 2, expected a number from 0 to 1',
    ],
    [
      'unknown initialisation',
      () => LoraLinear.from(layer, { initLoraWeights: wrong('corda') }),
      "initLoraWeights is 'corda' (it needs covariances of the data), expected true, false, 'gaussian'",
    ],
    [
      'base of another kind',
      () => LoraLinear.from(wrong(model())),
      'LoraLinear.from: base is Sequential, expected a Linear',
    ],
    [
      'unknown config option',
      () => LoraModel.attach(model(), wrong({ targetModules: ['0'], useMora: true })),
      "LoraModel.attach: unknown option 'useMora'",
    ],
    [
      'target that matches nothing',
      () => LoraModel.attach(model(), { targetModules: ['q_porj'] }),
      "LoraModel.attach: target 'q_porj' matches no layer, expected a name or suffix; the model has 0, 1",
    ],
    [
      'pattern that matches nothing',
      () => LoraModel.attach(model(), { targetModules: 'x.*' }),
      "pattern 'x.*' matches no layer",
    ],
    [
      'pattern that is none',
      () => LoraModel.attach(model(), { targetModules: '(' }),
      "'(' is no regular expression",
    ],
    [
      'no targets',
      () => LoraModel.attach(model(), { targetModules: [] }),
      'targetModules is [], expected at least one name',
    ],
    [
      'attached twice',
      () => LoraModel.attach(attached().model, { targetModules: ['1'] }),
      'the model has LoRA layers already',
    ],
    [
      'adapter name',
      () => attached().addAdapter('a.b', { targetModules: ['0'] }),
      "the adapter's name is 'a.b', expected 1 to 64 of A-Z a-z 0-9 _ - and not __base__",
    ],
    [
      'adapter name taken',
      () => attached().addAdapter('default', { targetModules: ['0'] }),
      "adapter 'default' exists already",
    ],
    [
      'unknown adapter',
      () => attached().setAdapter('typo'),
      "LoraModel.setAdapter: there is no adapter 'typo', expected one of default",
    ],
    ['adapter twice', () => attached().setAdapter(['default', 'default']), 'names an adapter twice'],
    [
      'promise',
      () => attached().withAdaptersDisabled(async () => 1),
      'returned a promise, expected a synchronous function',
    ],
    [
      'no parameters',
      () => new AdamW([]),
      'AdamW: parameters is [], expected at least one trainable Parameter',
    ],
    ['parameter twice', () => new SGD([layer.weight, layer.weight]), 'SGD: a parameter appears twice'],
    [
      'no learning rate',
      () => new Adam([layer.weight], { lr: Number.NaN }),
      'Adam: lr is NaN, expected a number from 0',
    ],
    [
      'beta 1',
      () => new Adam([layer.weight], { betas: [0.9, 1] }),
      'Adam: betas[1] is 1, expected a number below 1',
    ],
    ['nesterov alone', () => new SGD([layer.weight], { nesterov: true }), 'expected momentum above 0'],
    [
      'unknown optimiser option',
      () => new SGD([layer.weight], wrong({ learningRate: 1 })),
      "SGD: unknown option 'learningRate'",
    ],
    ['negative norm', () => clipGradNorm([layer.weight], -1), 'clipGradNorm: maxNorm is -1'],
    [
      'missing name',
      () => model().loadStateDict({}),
      'Sequential.loadStateDict: missing [0.weight, 0.bias, 1.weight, 1.bias], unexpected []',
    ],
    ['train with a number', () => model().train(wrong(1)), 'Sequential.train: mode is 1, expected a boolean'],
  ];
}

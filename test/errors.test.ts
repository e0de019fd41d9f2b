/** Every message of bad input: where, what it got, what it expected. */
import { describe, expect, test } from 'vitest';
import {
  Adam,
  AdamW,
  add,
  argmax,
  clipGradNorm,
  createRuntime,
  crossEntropy,
  defineOperation,
  Linear,
  LoraLinear,
  LoraModel,
  mean,
  mseLoss,
  type Runtime,
  reshape,
  Sequential,
  SGD,
  scale,
  type Tensor,
} from '../src/index.js';
import { wrong } from './support/wrong.js';

const rt: Runtime = await createRuntime({ kernels: 'simd' });
const layer = new Linear(rt, 784, 10);
const x = rt.zeros([10, 783]);
const model = (): Sequential => new Sequential(new Linear(rt, 4, 3), new Linear(rt, 3, 2));
const attached = (): LoraModel => LoraModel.attach(model(), { r: 2, targetModules: ['0'] });

const CASES: [string, () => unknown, string][] = [
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
  ['shapes differ', () => add(rt.zeros([2]), rt.zeros([3])), 'add: b is [3], expected [2] as a'],
  ['scale by a tensor', () => scale(rt.zeros([2]), wrong('2')), "scale: s is '2', expected a number"],
  [
    'data unlike shape',
    () => rt.tensor([1, 2], [3]),
    'Runtime.tensor: data has 2 elements, expected 3 for [3]',
  ],
  ['negative shape', () => rt.zeros([-1]), 'Runtime.zeros: shape is [-1], expected integers from 0 up'],
  ['text in data', () => rt.tensor(wrong(['1'])), "Runtime.tensor: element 0 is '1', expected a number"],
  [
    'fraction in i32',
    () => rt.tensor([1.5], [1], { dtype: 'i32' }),
    'Runtime.tensor: element 0 is 1.5, expected a 32-bit integer',
  ],
  [
    'i32 with gradient',
    () => rt.zeros([1], { dtype: 'i32', requiresGrad: true }),
    'dtype is i32, expected f32',
  ],
  [
    'unknown tensor option',
    () => rt.zeros([1], wrong({ grad: true })),
    "Runtime.zeros: unknown option 'grad', expected one of dtype, requiresGrad",
  ],
  [
    'full of nothing',
    () => rt.full([2], wrong(undefined)),
    'Runtime.full: value is undefined, expected a number',
  ],
  [
    'a range the wrong way round',
    () => rt.uniform([3], 5, 1),
    'Runtime.uniform: low is 5 and high is 1, expected high from low up to low + 3.4028234663852886e+38',
  ],
  [
    'a range without end',
    () => rt.uniform([3], 0, Number.POSITIVE_INFINITY),
    'Runtime.uniform: high is Infinity',
  ],
  ['a range of NaN', () => rt.uniform([3], Number.NaN, 1), 'Runtime.uniform: low is NaN'],
  [
    'requiresGrad as a number',
    () => rt.zeros([1], { requiresGrad: wrong(1) }),
    'Runtime.zeros: requiresGrad is 1, expected a boolean',
  ],
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
  [
    'an operation without backward',
    () => defineOperation(wrong<never>({ name: 'half', forward: (_: unknown, x: Tensor) => x })),
    'defineOperation: backward of half is undefined, expected a function',
  ],
  [
    'an axis that is a hole',
    () => mean(rt.zeros([2, 2, 2]), Object.assign([0], { 2: 1 })),
    'mean: an axis of [2, 2, 2] is undefined, expected an integer',
  ],
  [
    'copyTo of another length',
    () => rt.zeros([2]).copyTo(new Float32Array(3)),
    'Tensor.copyTo: target has 3 elements, expected 2 for [2]',
  ],
  ['copyTo of another kind', () => rt.zeros([2]).copyTo(new Int32Array(2)), 'expected a Float32Array'],
  [
    'set of another length',
    () => rt.zeros([2]).set([1]),
    'Tensor.set: source has 1 elements, expected 2 for [2]',
  ],
  ['item of several', () => rt.zeros([2]).item(), 'Tensor.item: the tensor is [2], expected one element'],
  [
    'backward of several',
    () => rt.zeros([2], { requiresGrad: true }).backward(),
    'expected one element or a gradient of that shape',
  ],
  [
    'backward without gradient',
    () => rt.zeros([]).backward(),
    'nothing that this tensor was computed from requires a gradient',
  ],
  [
    'reshape to another size',
    () => reshape(rt.zeros([6]), [4]),
    'reshape: x is [6] with 6 elements, expected 4 for [4]',
  ],
  ['mean of nothing', () => mean(rt.zeros([0])), 'mean: x is [0], expected at least one element'],
  ['argmax of a scalar', () => argmax(rt.zeros([])), 'argmax: x is [], expected at least one dimension'],
  [
    'target out of range',
    () => crossEntropy(rt.zeros([2, 3]), rt.tensor(Int32Array.of(0, 3))),
    'crossEntropy: target 1 is 3, expected 0 to 2 or ignoreIndex -100',
  ],
  [
    'targets of another shape',
    () => crossEntropy(rt.zeros([2, 3]), rt.tensor(Int32Array.of(0))),
    'crossEntropy: targets is [1], expected [2]',
  ],
  [
    'targets as floats',
    () => crossEntropy(rt.zeros([1, 3]), rt.zeros([1])),
    'crossEntropy: targets is f32, expected i32',
  ],
  [
    'unknown reduction',
    () => mseLoss(rt.zeros([1]), rt.zeros([1]), wrong({ reduction: 'max' })),
    "mseLoss: reduction is 'max', expected 'mean', 'sum' or 'none'",
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

describe('bad input', () => {
  test.each(CASES)('%s', (_, act, words) => {
    const before = layer.weight.toArray();
    let thrown: unknown = null;
    try {
      act();
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(Error);
    expect((thrown as Error).message).toContain(words);
    expect(layer.weight.toArray()).toEqual(before);
  });

  test.each([
    [{ kernels: 'fast' }, "createRuntime: kernels is 'fast', expected 'auto', 'simd' or 'relaxed-simd'"],
    [{ seed: -1 }, 'createRuntime: seed is -1, expected an integer from 0'],
    [{ maxMemoryMB: 5000 }, 'createRuntime: maxMemoryMB is 5000, expected an integer from 1 to 4095'],
    [{ threads: 'all' }, "createRuntime: threads is 'all', expected 'auto' or a number from 1 to 32"],
    [{ threads: 0 }, 'createRuntime: threads is 0, expected an integer from 1 to 32'],
    [{ thread: 2 }, "createRuntime: unknown option 'thread'"],
    [{ wasm: 7 }, 'wasm is 7, expected bytes, a URL, a string, a WebAssembly.Module or a function'],
  ])('createRuntime(%j)', async (options, words) => {
    await expect(createRuntime(wrong(options))).rejects.toThrow(words);
  });

  test('a state dict that does not fit changes nothing', () => {
    const net = model();
    const state = net.stateDict();
    const broken = new Map<string, { shape: readonly number[]; data: ArrayLike<number> }>(state);
    broken.set('1.bias', { shape: [3], data: [1, 2, 3] });
    broken.set('0.weight', { shape: [3, 4], data: new Float32Array(12) });
    expect(() => net.loadStateDict(broken)).toThrow('1.bias is [3] with 3 elements, expected [2]');
    expect(net.stateDict()).toEqual(state);
    broken.delete('1.bias');
    expect(net.loadStateDict(broken, { strict: false })).toEqual({ missing: ['1.bias'], unexpected: [] });
  });
});

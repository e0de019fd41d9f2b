/**
 * Right calls of what is exported, to be bent: without one a target gets arguments at random alone, which its first check
 * turns away. A new export needs none; with one, its later checks are reached. What is written as `options(...)` is also
 * tried with names that nobody knows and with values of no kind at all.
 */
import { createHash } from 'node:crypto';
import {
  type AdapterBytes,
  writeGguf,
  writeKohya,
  writeLoralib,
  writeMlx,
  writePeft,
} from '../../../src/formats/index.js';
import type { LoraFile } from '../../../src/formats/lora-file.js';
import type { Module } from '../../../src/index.js';
import type { Trainer } from '../../../src/train/index.js';
import { tinyFolder, tinyGguf } from '../tiny-model.js';
import { files, type World } from './world.js';

const GGUF_BYTES = tinyGguf();
const GGUF = new Blob([GGUF_BYTES]);
const SHA256 = createHash('sha256').update(GGUF_BYTES).digest('hex');

/** By the target's name; made when they are asked for, as the objects are that they need. */
export type Calls = Readonly<Record<string, () => readonly (readonly unknown[])[]>>;

const known = new WeakSet<object>();

/** Options, as the last argument or anywhere else. */
function options<T extends object>(given: T): T {
  known.add(given);
  return given;
}

export function areOptions(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && known.has(value);
}

/** Right calls of functions, constructors and members, by the target's name. @param files - those of `fileCalls` */
export function validCalls(world: World, files: Calls, folder: string): Calls {
  const saveAdapter: Calls[string] = () => [
    [
      world.objects.get('lora'),
      'default',
      folder,
      options({ convert: true, allowNonFinite: false, taskType: 'CAUSAL_LM', baseModelNameOrPath: 'base' }),
    ],
  ];
  return { ...files, ...operations(world), ...made(world), ...members(world), ...speech(world), saveAdapter };
}

function operations({ rt, objects }: World): Calls {
  const t = objects.byName;
  const of = (name: string, key: string): unknown => Reflect.get(objects.get(name)!, key);
  const same = (_: unknown, product: (x: unknown) => unknown, x: unknown): unknown => product(x);
  return {
    ...Object.fromEntries(['add', 'sub', 'mul'].map((name) => [name, () => [[t.matrix, t.trained]]])),
    ...Object.fromEntries(
      ['relu', 'tanh', 'sigmoid', 'softmax', 'argmax', 'sum'].map((n) => [n, () => [[t.matrix]]]),
    ),
    scale: () => [[t.matrix, 2]],
    gelu: () => [[t.matrix, options({ approximate: 'tanh' })]],
    linearAdaptation: () => [[options({ fanInFanOut: false, forward: same })]],
    embeddingAdaptation: () => [[options({ forward: same })]],
    conv2dAdaptation: () => [[options({ forward: same })]],
    linear: () => [[t.rows, of('linear', 'weight'), of('linear', 'bias'), options({ fanInFanOut: false })]],
    conv2d: () => [
      [t.images, of('conv', 'weight'), null, options({ stride: 1, padding: [1, 0], dilation: 1, groups: 1 })],
    ],
    maxPool2d: () => [[t.images, 2, options({ stride: [1, 2], padding: 1, dilation: 1 })]],
    embedding: () => [[t.ids, of('embedding', 'weight'), options({ paddingIdx: 0 })]],
    layerNorm: () => [[t.matrix, [3], t.row, t.row, 1e-5]],
    rmsNorm: () => [[t.matrix, t.row, 1e-6]],
    causalAttention: () => [
      [
        t.states,
        t.states,
        t.states,
        options({ heads: 2, kvHeads: 2, scale: 0.5, window: 2, starts: new Int32Array(4), offset: 0 }),
      ],
    ],
    swiglu: () => [[t.matrix, t.trained]],
    rotaryTable: () => [
      [
        rt,
        options({
          headDim: 4,
          length: 8,
          theta: 100,
          factors: new Float32Array(2).fill(1),
          attentionFactor: 1,
        }),
      ],
    ],
    rotate: () => [
      [t.states, t.table, Int32Array.of(1, 0)],
      [t.states, t.table, t.ids],
    ],
    crossEntropy: () => [[t.matrix, t.ids, options({ ignoreIndex: -100, reduction: 'sum' })]],
    checkpoint: () => [[(x: unknown) => x, t.trained]],
    dropoutState: () => [[objects.get('linear')]],
    loadDropoutState: () => [[objects.get('linear'), {}]],
    linearCrossEntropy: () => [
      [t.matrix, t.matrix, t.ids, options({ ignoreIndex: -100, reduction: 'sum' })],
      [t.rows, t.linear, Int32Array.of(0, 1)],
    ],
    mseLoss: () => [[t.matrix, t.trained, options({ reduction: 'none' })]],
    mean: () => [[t.matrix, [0, -1], options({ keepDims: true })]],
    reshape: () => [[t.matrix, [3, 2]]],
    clipGradNorm: () => [[[of('linear', 'weight')], 1]],
    schedule: () => [['cosine', 10, 2]],
    defineOperation: () => [
      [{ name: 'same', forward: (_: unknown, x: unknown) => x, backward: () => [null] }],
    ],
    'defineOperation()': () => [[t.matrix], [t.trained]],
    createRuntime: () => [[options({ kernels: 'simd', maxMemoryMB: 64, seed: 1, threads: 1 })]],
  };
}

const ADAPTER = { r: 2, loraAlpha: 4, loraDropout: 0.1, useRslora: true, initLoraWeights: 'gaussian' };

function made({ rt, objects }: World): Calls {
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
      [t.sequential, [1], options(training())],
      [t.lora, { rows: 2, batchSize: 1, batch: () => 1, hash: 'x' }, { loss: () => 1 }],
    ],
    'LoraModel.attach': () => [[t.sequential, options(config()), 'mine']],
  };
}

/** Every option of a Trainer that goes with the others. */
function training(): object {
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

function config(): object {
  return {
    ...{ ...ADAPTER, targetModules: ['0'], excludeModules: null, rankPattern: { '0': 1 }, alphaPattern: {} },
    ...{ modulesToSave: null, bias: 'none', fanInFanOut: false },
  };
}

function members({ rt, objects }: World): Calls {
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
    'LoraModel.addAdapter': () => [['third', options(config())]],
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

/** Those of language models. */
function speech({ rt, objects }: World): Calls {
  const t = objects.byName;
  const { signal } = new AbortController();
  const sampling = { temperature: 0.5, topK: 4, topP: 0.9, repetitionPenalty: 1.1, seed: 1 };
  const writing = { ...sampling, maxTokens: 2, stopIds: [2], signal };
  const lm = (): object => ({ model: t.speaker, tokenizer: t.words, chat: t.chat, stopIds: [2], config: {} });
  return {
    loadModel: () => [
      [
        rt,
        GGUF,
        options({
          weights: 'f16',
          maxLength: 8,
          tokenizer: null,
          onProgress: () => {},
          signal,
          cache: 'kept',
          sha256: SHA256,
        }),
      ],
      [rt, tinyFolder(), { weights: 'stored' }],
    ],
    'CausalLM.forward': () => [[t.prompt], [t.prompt, new Int32Array(3), Int32Array.of(0, 1, 2)]],
    'CausalLM.hidden': () => [[t.prompt], [t.prompt, new Int32Array(3), Int32Array.of(0, 1, 2)]],
    'CausalLM.cache': () => [[4], [4, 2]],
    'CausalLM.decode': () => [[t.prompt, t.cache]],
    'KvCache.truncate': () => [[0]],
    causalLoss: () => [
      [t.speaker, t.prompt, Int32Array.of(-100, 1, 4), options({ starts: new Int32Array(3) })],
    ],
    generate: () => [[t.speaker, [1, 2], options(writing)]],
    generateText: () => [[lm(), 'ab', options({ ...writing, stop: ['x'], skipSpecialTokens: true })]],
    meanLoss: () => [[t.speaker, [[1, 2], { ids: [1, 2], labels: [-100, 2] }]]],
    ...rowCalls(t),
    'new TextStream': () => [[t.words, true]],
    'TextStream.push': () => [[5]],
    'new ChatTemplate': () => [['{{ bos_token }}', new Map([['bos_token', 'x']])]],
    'ChatTemplate.render': () => [
      [[{ role: 'user', content: 'a' }], options({ addGenerationPrompt: false })],
    ],
    'TextTokenizer.encode': () => [['ab', options({ addSpecialTokens: false })]],
    'TextTokenizer.decode': () => [[[4, 5], options({ skipSpecialTokens: true })]],
    'TextTokenizer.idOf': () => [['a']],
    'TextTokenizer.tokenOf': () => [[4]],
  };
}

/** Those of rows of tokens. */
function rowCalls(t: Readonly<Record<string, object>>): Calls {
  const text = '{"prompt":"ab","completion":"ba"}';
  const row = { ids: Int32Array.of(3, 4), labels: Int32Array.of(-100, 4) };
  // Errors begin with the name that is asked for.
  const asked = { format: 'prompt', maxLength: 8, maskPrompt: false, name: 'parseRows', onWarning: () => {} };
  return {
    parseRows: () => [[text, options({ tokenizer: t.words, chat: t.chat, ...asked })]],
    packRows: () => [[[row, row], 3]],
    joinRows: () => [[[row]], [[{ ...row, starts: new Int32Array(2), positions: Int32Array.of(0, 1) }]]],
  };
}

/** Those of the formats, which need no object of a world. */
export async function fileCalls(world: World, folder: string): Promise<Calls> {
  const own = files(world);
  const { file, base } = plainFile();
  const peft = { config: own['adapter_config.json'], weights: own['adapter_model.safetensors'] };
  const mlx = writeMlx(file);
  const gguf = (await writeGguf(file)).bytes;
  const tensors = [['a', { shape: [2], data: new Float32Array(2) }]];
  const write = { allowNonFinite: false };
  const input: AdapterBytes = { weights: writePeft(file)['adapter_model.safetensors'], config: peft.config };
  const convertible = { to: 'peft', base: null, dropUnsupported: true, force: false };
  return {
    convert: () => [[input, options(convertible)]],
    readAdapter: () => [[{ ...input, config: null }, options({ alpha: 4, base: null })]],
    detectFormat: () => [[input]],
    readPeft: () => [[{ ...peft, config: null }, options({ alpha: 4 })], [peft]],
    writePeft: () => [[file, options({ ...write })]],
    readMlx: () => [[{ config: mlx['adapter_config.json'], weights: mlx['adapters.safetensors'] }]],
    writeMlx: () => [[file, options({ ...write, tied: false })]],
    readKohya: () => [[writeKohya(file)]],
    writeKohya: () => [[file, options({ ...write })]],
    readLoralib: () => [[writeLoralib(file).weights, options({ alpha: 4 })]],
    writeLoralib: () => [[file, options({ ...write })]],
    readGguf: () => [[gguf, options({ base })]],
    writeGguf: () => [[file, options({ ...write, base })]],
    deltaWeight: () => [[file.modules[0]]],
    deltaNorm: () => [[file.modules[0]]],
    norm: () => [[file.modules[0]!.A]],
    dequantise: () => [['q8_0', new Uint8Array(34)]],
    quantise: () => [['q8_0', new Float32Array(32)]],
    parsePeftConfig: () => [[new TextDecoder().decode(peft.config)]],
    parseSafetensors: () => [[peft.weights]],
    openSafetensors: () => [[new Blob([peft.weights])]],
    writeSafetensors: () => [[tensors, options({ ...write, metadata: { format: 'pt' } })]],
    kohyaName: () => [['layers.0']],
    peftKey: () => [['layers.0', 'lora_A.weight', 'x.']],
    baseFromConfig: () => [['{"model_type": "llama", "num_attention_heads": 2}']],
    folderStore: () => [[`${folder}/checkpoints`, options({ keep: 2 })]],
    indexedDbStore: () => [['name', { keep: 2 }]],
    writeAtomic: () => [[`${folder}/bytes`, peft.weights]],
  };
}

/** An adapter of one layer as every format can hold it, and a model of GGUF. */
function plainFile(): { file: LoraFile; base: object } {
  const array = (...shape: number[]) => ({
    shape,
    data: new Float32Array(shape.reduce((a, b) => a * b)).fill(0.5),
  });
  const module = {
    path: 'model.layers.0.mlp.up_proj',
    kind: 'linear' as const,
    A: array(2, 4),
    B: array(6, 2),
  };
  const file: LoraFile = {
    ...{ format: 'kohya', modules: [{ ...module, r: 2, alpha: 4, scale: 2 }], extras: [], config: null },
    warnings: [],
  };
  return { file, base: { architecture: 'llama', heads: 2, kvHeads: 2, tied: false } };
}

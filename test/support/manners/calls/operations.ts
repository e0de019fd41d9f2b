/** Right calls of operations and other functions that need no object of their own. */
import type { World } from '../world.js';
import { type Calls, options } from './options.js';

export function operations({ rt, objects }: World): Calls {
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

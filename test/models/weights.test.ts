/** What becomes of a file's weights: which type each is held in, its values, the order of llama.cpp's rows, and the bits of the model. */
import { expect, test } from 'vitest';
import { READABLE } from '../../src/formats/ggml-types.js';
import { dequantise, type GgufDType, quantise } from '../../src/formats/index.js';
import { createRuntime, type Runtime, type Tensor } from '../../src/index.js';
import { llama3Factors } from '../../src/models/config.js';
import { type CausalLM, loadModel, type WeightsOption } from '../../src/models/index.js';
import { roundHalf } from '../../src/values/halves.js';
import { describeRuntimes } from '../support/runtimes.js';
import {
  folderFor,
  type StoredTiny,
  type TinyGgufChanges,
  tinyFolder,
  tinyGguf,
  tinyTensors,
} from '../support/tiny-model.js';

const SIZES = { hidden_size: 256, intermediate_size: 256, num_hidden_layers: 1 };
const TYPES = Object.keys(READABLE) as GgufDType[];
/** Where a block's scales and minima lie, all of them halves; in the others there is one at 0. */
const SCALES: Partial<Record<GgufDType, readonly number[]>> = {
  ...{ q4_1: [0, 2], q5_1: [0, 2], q4_K: [0, 2], q5_K: [0, 2] },
  ...{ q2_K: [80, 82], q3_K: [108], q6_K: [208] },
};

/** Bytes of a type that stand for finite numbers of the size of weights, whatever lies between the scales. */
function someBytes(type: GgufDType, size: number): Uint8Array<ArrayBuffer> {
  const { elements, bytes } = READABLE[type];
  const values = Float32Array.from({ length: size }, (_, i) => (((i * 37) % 101) - 50) / 512);
  if (type === 'f32') return new Uint8Array(values.buffer);
  if (type === 'f16')
    return new Uint8Array(Uint16Array.from(values, (_, i) => 0x2000 + ((i * 7) % 512)).buffer);
  if (type === 'bf16')
    return new Uint8Array(Uint16Array.from(values, (_, i) => 0x3c00 + ((i * 7) % 128)).buffer);
  const made = Uint8Array.from({ length: (size / elements) * bytes }, (_, i) => (i * 89 + (i >> 7)) & 255);
  for (let block = 0; block < made.length; block += bytes) {
    // 2⁻¹⁰ or so; MXFP4's scale is a power of two by itself.
    if (type === 'mxfp4') made[block] = 120;
    else for (const at of SCALES[type] ?? [0]) made.set([(block / bytes) & 127, 0x14], block + at);
  }
  return made;
}

const LABELS = ['blk.0.attn_q.weight', 'blk.0.ffn_up.weight', 'token_embd.weight'];

/** A model some of whose weights are of one type. */
function fileOf(type: GgufDType): { file: Blob; values: Map<string, Float32Array> } {
  const values = new Map<string, Float32Array>();
  const change = (all: Map<string, StoredTiny>): void => {
    for (const label of LABELS) {
      const { sizes } = all.get(label)!;
      const bytes = someBytes(type, sizes[0]! * sizes[1]!);
      all.set(label, { sizes, type: READABLE[type].code, bytes });
      values.set(label, dequantise(type, bytes));
    }
  };
  return { file: new Blob([tinyGguf({ config: SIZES, tensors: change })]), values };
}

const weightsOf = (model: CausalLM): readonly Tensor[] => [
  model.model.layers[0]!.self_attn.q_proj.weight,
  model.model.layers[0]!.mlp.up_proj.weight,
  model.model.embed_tokens.weight,
];

/** Rows of queries as transformers has them: of each head its even rows, then its odd ones. */
function inOrder(values: Float32Array, columns: number, headDim: number): Float32Array {
  const rows = values.length / columns;
  const order = Array.from({ length: rows }, (_, row) => {
    const within = row % headDim;
    return row - within + (within < headDim / 2 ? 2 * within : 2 * within - headDim + 1);
  });
  return Float32Array.from(order.flatMap((row) => [...values.subarray(row * columns, (row + 1) * columns)]));
}

/** Bit for bit; by hand, since there are many. */
function expectBits(found: ArrayLike<number>, wanted: ArrayLike<number>): void {
  const [a, b] = [found, wanted].map((values) => new Uint32Array(Float32Array.from(values).buffer));
  expect(a!.length).toBe(b!.length);
  const at = a!.findIndex((bits, i) => bits !== b![i]);
  expect([at, found[at], wanted[at]]).toEqual([-1, undefined, undefined]);
}

const HELD: Partial<Record<GgufDType, string>> = {
  q2_K: 'f32',
  q3_K: 'f32',
  iq4_nl: 'f32',
  iq4_xs: 'f32',
  mxfp4: 'f32',
};

test.each(TYPES)(
  '%s is held as it lies in the file where products read it, and expanded otherwise, with its exact values',
  async (type) => {
    using rt = await createRuntime({ threads: 1 });
    const { file, values } = fileOf(type);
    const wanted = [...values.values()];
    wanted[0] = inOrder(wanted[0]!, 256, 64);
    for (const weights of ['stored', 'f32'] as const) {
      using loaded = await loadModel(rt, file, { weights });
      weightsOf(loaded.model).forEach((weight, i) => {
        expect(weight.dtype).toBe(weights === 'f32' ? 'f32' : (HELD[type] ?? type));
        expect(weight.requiresGrad).toBe(false);
        expectBits(weight.toArray(), wanted[i]!);
      });
      expect(loaded.model.model.norm.weight.dtype).toBe('f32');
    }
  },
);

test.each<[WeightsOption, (values: Float32Array) => ArrayLike<number>]>([
  ['f16', (values) => values.map((value) => roundHalf('f16', value))],
  ['bf16', (values) => values.map((value) => roundHalf('bf16', value))],
  ['q8_0', (values) => dequantise('q8_0', quantise('q8_0', values))],
  ['q4_0', (values) => dequantise('q4_0', quantise('q4_0', values))],
])(
  'weights %s: every matrix is rounded to it, whatever it is in the file, and norms are not',
  async (weights, rounded) => {
    using rt = await createRuntime({ threads: 1 });
    for (const type of ['f32', 'q6_K'] as const) {
      const { file, values } = fileOf(type);
      const wanted = [...values.values()];
      wanted[0] = inOrder(wanted[0]!, 256, 64);
      using loaded = await loadModel(rt, file, { weights });
      weightsOf(loaded.model).forEach((weight, i) => {
        expect(weight.dtype).toBe(weights);
        expectBits(weight.toArray(), rounded(wanted[i]!));
      });
      expect(loaded.model.model.layers[0]!.self_attn.o_proj.weight.dtype).toBe(weights);
      expect(loaded.model.model.norm.weight.dtype).toBe('f32');
    }
  },
);

test('rows that are no whole blocks cannot be quantised on loading', async () => {
  using rt = await createRuntime({ threads: 1 });
  const { held } = rt.memory();
  await expect(loadModel(rt, tinyFolder(), { weights: 'q8_0' })).rejects.toThrow(
    "tensor 'model.layers.0.mlp.down_proj.weight' has rows of 48, expected whole blocks of 32 where weights is 'q8_0'",
  );
  expect(rt.memory().held).toBe(held);
});

const logitsOf = (rt: Runtime, model: CausalLM): ArrayLike<number> =>
  rt.scope(() => model.forward(rt.tensor(new Int32Array([7, 3, 3, 39, 0, 12]), [1, 6])).toArray());

describeRuntimes('weights of a model', (rt) => {
  test('the same model has the same bits from a GGUF file, from a folder, and from a source of one’s own', async () => {
    const bytes = tinyGguf();
    const own = { size: bytes.length, read: async (begin: number, end: number) => bytes.slice(begin, end) };
    const all: ArrayLike<number>[] = [];
    for (const source of [new Blob([bytes]), own, tinyFolder()]) {
      using loaded = await loadModel(rt(), source);
      all.push(logitsOf(rt(), loaded.model));
    }
    expectBits(all[1]!, all[0]!);
    expectBits(all[2]!, all[0]!);
  });

  test('every kind that GGUF knows has the bits of its folder: biases, norms of heads, a head of its own, factors of frequencies', async () => {
    const scaling = {
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 16,
    };
    const factors = [
      ...llama3Factors(8, 500, { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalLength: 16 }),
    ];
    expect(new Set(factors).size).toBeGreaterThan(1);
    const frequencies = (all: Map<string, StoredTiny>): void => {
      const bytes = new Uint8Array(Float32Array.from(factors).buffer);
      all.set('rope_freqs.weight', { sizes: [4], type: 0, bytes });
    };
    const kinds: readonly [Record<string, unknown>, Record<string, unknown>?, TinyGgufChanges?][] = [
      [{ attention_bias: true, mlp_bias: true, tie_word_embeddings: false }],
      [{ head_dim: 10 }],
      [{ rope_theta: 500 }, { rope_scaling: { rope_type: 'llama3', ...scaling } }, { tensors: frequencies }],
      [
        {},
        { rope_scaling: { type: 'linear', factor: 4 } },
        { metadata: { 'llama.rope.scaling.type': 'linear', 'llama.rope.scaling.factor': 4 } },
      ],
      [{ model_type: 'qwen2' }],
      [{ model_type: 'qwen3', head_dim: 6, tie_word_embeddings: false }],
    ];
    for (const [config, alone = {}, changes = {}] of kinds) {
      using folder = await loadModel(rt(), folderFor({ ...config, ...alone }));
      using gguf = await loadModel(rt(), new Blob([tinyGguf({ config, ...changes })]));
      const wanted = logitsOf(rt(), folder.model);
      expect(new Set(wanted as Float32Array).size).toBeGreaterThan(150);
      expectBits(logitsOf(rt(), gguf.model), wanted);
    }
  });

  test('a piece that is read into a buffer twice leaves nothing of the first', async () => {
    const bytes = tinyGguf();
    const buffers = new Set<ArrayBufferLike>();
    const own = {
      size: bytes.length,
      read: async (begin: number, end: number) => bytes.slice(begin, end),
      readInto: async (begin: number, to: Uint8Array) => {
        buffers.add(to.buffer);
        to.set(bytes.subarray(begin, begin + to.length));
        return to.length;
      },
    };
    using loaded = await loadModel(rt(), own);
    const tensors = tinyTensors();
    for (const [name, parameter] of loaded.model.namedParameters())
      expectBits(parameter.toArray(), tensors.get(name)!.data);
    expect(buffers.size).toBe(1);
  });

  test('loading takes no place in the generator: what is drawn next does not depend on the model', async () => {
    const { layers, draws } = rt().engine;
    using loaded = await loadModel(rt(), tinyFolder());
    expect(loaded.model.training).toBe(false);
    expect([rt().engine.layers, rt().engine.draws]).toEqual([layers, draws]);
  });
});

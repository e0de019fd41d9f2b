/**
 * A language model of a few thousand random weights as the files that `loadModel` takes: a folder of transformers, and a GGUF file.
 * Tests change a field, a tensor or a byte before the files are made.
 */
import { writeSafetensors } from '../../src/formats/index.js';
import { tensorsOf } from '../../src/models/plan.js';
import { configFromHf } from '../../src/models/source/hf-config.js';
import { ggufBytes, type HandTensor } from './gguf.js';
import { real } from './numbers.js';

/** `config.json` of the model that is made where nothing else is asked for: tied, with 2 blocks and grouped heads. */
export const TINY_CONFIG: Readonly<Record<string, unknown>> = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 40,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: true,
  eos_token_id: 2,
};

export interface TinyTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export type TinyTensors = Map<string, TinyTensor>;

/** The tensors of a configuration by transformers' names; norms near one. */
export function tinyTensors(config: Readonly<Record<string, unknown>> = TINY_CONFIG): TinyTensors {
  const key = JSON.stringify(config);
  let drawn = drawnBefore.get(key);
  if (drawn === undefined) {
    drawn = draw(config);
    drawnBefore.set(key, drawn);
  }
  return new Map([...drawn].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]));
}

const drawnBefore = new Map<string, TinyTensors>();

function draw(config: Readonly<Record<string, unknown>>): TinyTensors {
  const found: TinyTensors = new Map();
  let seed = 1;
  for (const [name, shape] of tensorsOf(configFromHf('tiny', JSON.stringify(config)))) {
    const size = shape.reduce((product, n) => product * n, 1);
    const norm = /norm/.test(name);
    const values = real(size, seed++, norm ? 0.3 : 0.25).map((value) => (norm ? 1 + value : value));
    found.set(name, { shape, data: Float32Array.from(values) });
  }
  return found;
}

export interface TinyChanges {
  /** Fields of `config.json` that are others; undefined takes one out. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Changes the tensors before they are written. */
  readonly tensors?: (tensors: TinyTensors) => void;
}

/** The files of a folder, by name. */
export function tinyFolder({ config = {}, tensors: change }: TinyChanges = {}): Map<string, Blob> {
  const fields = { ...TINY_CONFIG, ...config };
  const tensors = tinyTensors(TINY_CONFIG);
  change?.(tensors);
  return new Map([
    ['config.json', new Blob([JSON.stringify(fields)])],
    ['model.safetensors', new Blob([writeSafetensors(tensors, { allowNonFinite: true })])],
  ]);
}

/** The model of a config in full, whatever its tensors are. */
export function folderFor(config: Readonly<Record<string, unknown>>): Map<string, Blob> {
  const fields = { ...TINY_CONFIG, ...config };
  return new Map([
    ['config.json', new Blob([JSON.stringify(fields)])],
    ['model.safetensors', new Blob([writeSafetensors(tinyTensors(fields))])],
  ]);
}

/** A tensor of a GGUF file: sizes with the fastest first, ggml's number of the type, and its bytes. */
export interface StoredTiny {
  readonly sizes: readonly number[];
  readonly type: number;
  readonly bytes: Uint8Array;
}

export interface TinyGgufChanges {
  /** Fields that are others than `TINY_CONFIG`'s; windows and scalings are told by `metadata` and `tensors`. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly metadata?: Readonly<Record<string, string | number>>;
  /** Changes the tensors, by llama.cpp's names, before they are written. */
  readonly tensors?: (tensors: Map<string, StoredTiny>) => void;
}

const headDimOf = (config: Readonly<Record<string, unknown>>): number =>
  Number(config.head_dim ?? Number(config.hidden_size) / Number(config.num_attention_heads));

/** llama.cpp's fields of a configuration. */
function metadataOf(config: Readonly<Record<string, unknown>>): Record<string, string | number> {
  const size = (name: string): number => Number(config[name]);
  const kind = String(config.model_type);
  return {
    'general.architecture': kind,
    [`${kind}.block_count`]: size('num_hidden_layers'),
    [`${kind}.context_length`]: size('max_position_embeddings'),
    [`${kind}.embedding_length`]: size('hidden_size'),
    [`${kind}.feed_forward_length`]: size('intermediate_size'),
    [`${kind}.attention.head_count`]: size('num_attention_heads'),
    [`${kind}.attention.head_count_kv`]: size('num_key_value_heads'),
    ...(config.head_dim === undefined
      ? {}
      : {
          [`${kind}.attention.key_length`]: headDimOf(config),
          [`${kind}.attention.value_length`]: headDimOf(config),
        }),
    [`${kind}.attention.layer_norm_rms_epsilon`]: size('rms_norm_eps'),
    [`${kind}.rope.freq_base`]: size('rope_theta'),
    ...(kind === 'llama' ? { 'llama.rope.dimension_count': headDimOf(config) } : {}),
    'tokenizer.ggml.eos_token_id': size('eos_token_id'),
  };
}

const PARTS: Readonly<Record<string, string>> = {
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  input_layernorm: 'attn_norm',
  post_attention_layernorm: 'ffn_norm',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
};

function labelOf(name: string): string {
  const [, block, part, kind] = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name) ?? [];
  if (block !== undefined) return `blk.${block}.${PARTS[part!]}.${kind}`;
  return {
    'model.embed_tokens.weight': 'token_embd.weight',
    'model.norm.weight': 'output_norm.weight',
    'lm_head.weight': 'output.weight',
  }[name]!;
}

/** Rows as llama.cpp orders those of queries and keys: the halves of each head interleaved. */
function interleaved({ shape, data }: TinyTensor, headDim: number): Float32Array {
  const [rows = 0, columns = 1] = shape;
  const out = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    const within = row % headDim;
    const half = headDim / 2;
    const to = row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
    out.set(data.subarray(row * columns, (row + 1) * columns), to * columns);
  }
  return out;
}

/** The same model as a GGUF file. */
export function tinyGguf({
  config = {},
  metadata = {},
  tensors: change,
}: TinyGgufChanges = {}): Uint8Array<ArrayBuffer> {
  const fields: Record<string, unknown> = { ...TINY_CONFIG, ...config };
  const stored = new Map<string, StoredTiny>();
  for (const [name, tensor] of tinyTensors(fields)) {
    // llama.cpp's converter does so to Llama's weights and biases alone.
    const turned = fields.model_type === 'llama' && /[qk]_proj/.test(name);
    const data = turned ? interleaved(tensor, headDimOf(fields)) : tensor.data;
    stored.set(labelOf(name), {
      ...{ sizes: tensor.shape.toReversed(), type: 0 },
      bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    });
  }
  change?.(stored);
  const placed: Record<string, HandTensor> = {};
  const pieces: [number, Uint8Array][] = [];
  let at = 0;
  for (const [label, { sizes, type, bytes }] of stored) {
    placed[label] = { sizes, type, offset: at };
    pieces.push([at, bytes]);
    at += Math.ceil(bytes.length / 32) * 32;
  }
  const data = new Uint8Array(at);
  for (const [offset, bytes] of pieces) data.set(bytes, offset);
  return ggufBytes({ metadata: { ...metadataOf(fields), ...metadata }, tensors: placed, data });
}

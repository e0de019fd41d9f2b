/** A model in a GGUF file: its metadata as a `ModelConfig`, its tensors by transformers' names. */
import { isReadable, READABLE_NAMES } from '../../formats/ggml-types.js';
import { ggufName, isReordered, pathOfGguf } from '../../formats/gguf-base.js';
import { ggufValues, openGgufAs } from '../../formats/gguf-file.js';
import type { RandomAccess } from '../../formats/source.js';
import { FormatError } from '../../values/format-error.js';
import {
  checkConfig,
  LARGEST_HEAD,
  linearFactors,
  MOST_BLOCKS,
  type ModelConfig,
  type ModelType,
  type RopeConfig,
} from '../config.js';
import { type Fields, fieldsOf, refuseField } from './fields.js';
import type { ModelSource, StoredTensor } from './model-source.js';

const ARCHITECTURES: readonly string[] = ['llama', 'qwen2', 'qwen3'];

/** Norms by their names in transformers: no adapter is over them, so that formats/gguf-base.ts has the names of all else. */
const NORMS: Readonly<Record<string, string>> = {
  input_layernorm: 'attn_norm',
  post_attention_layernorm: 'ffn_norm',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
};
const LAST_NORM = { path: 'model.norm', label: 'output_norm' };
/** A layer, and which of its parameters. */
const PARTS = /^(.+)\.(weight|bias)$/;
const FREQUENCIES = 'rope_freqs.weight';

/** Keys of an architecture that are understood, or change nothing that is computed. */
const KNOWN = new Set([
  'block_count',
  'context_length',
  'embedding_length',
  'feed_forward_length',
  'attention.head_count',
  'attention.head_count_kv',
  'attention.key_length',
  'attention.value_length',
  'attention.layer_norm_rms_epsilon',
  'attention.sliding_window',
  'rope.freq_base',
  'rope.dimension_count',
  'rope.scaling.type',
  'rope.scaling.factor',
  'rope.scale_linear',
  'rope.scaling.original_context_length',
  'rope.scaling.finetuned',
  'vocab_size',
]);

/** @param file - opened by `openSource` @throws FormatError; errors of the source */
export async function openGgufModel(where: string, file: RandomAccess): Promise<ModelSource> {
  const { metadata, tensors } = await openGgufAs(where, file);
  const architecture = checkMetadata(where, metadata);
  const prefix = `${architecture}.`;
  const frequencies = tensors.get(FREQUENCIES);
  const factors = frequencies === undefined ? null : await ggufValues(where, file, FREQUENCIES, frequencies);
  const config = configFromGguf(where, {
    fields: fieldsOf(where, (name) => metadata.get(prefix + name), prefix),
    modelType: architecture,
    names: new Set(tensors.keys()),
    vocabSize: tensors.get('token_embd.weight')?.shape[0] ?? 0,
    factors: factors?.data ?? null,
    eos: metadata.get('tokenizer.ggml.eos_token_id'),
  });
  const found = new Map<string, StoredTensor>();
  for (const [label, { shape, dtype, begin, end }] of tensors) {
    if (label === FREQUENCIES) continue;
    if (!isReadable(dtype))
      throw new FormatError(`${where}: tensor '${label}' is ${dtype}, expected one of ${READABLE_NAMES}`);
    const pairedHeads = pairedHeadsOf(config, architecture, label);
    const name = nameOf(where, architecture, label);
    found.set(name, { where, label, type: dtype, shape, file, begin, end, pairedHeads });
  }
  const texts = new Map<string, string>();
  return {
    ...{ where, config, tensors: found, metadata: new Map(metadata), texts },
    labelOf: (name) => labelOf(architecture, name),
  };
}

/** The architecture of a file that holds a whole model and says nothing that is not understood. @throws FormatError */
function checkMetadata(where: string, metadata: ReadonlyMap<string, unknown>): ModelType {
  const kind = metadata.get('general.type') ?? 'model';
  if (kind !== 'model') refuseField(where, 'general.type', kind, "'model'");
  const parts = metadata.get('split.count') ?? 1;
  if (parts !== 1 && parts !== 0) refuseField(where, 'split.count', parts, 'a model in one file');
  const architecture = metadata.get('general.architecture');
  if (!isArchitecture(architecture))
    return refuseField(where, 'general.architecture', architecture, `one of ${ARCHITECTURES.join(', ')}`);
  const prefix = `${architecture}.`;
  for (const [key, value] of metadata) {
    const known = !key.startsWith(prefix) || KNOWN.has(key.slice(prefix.length));
    if (!known && value !== 0 && value !== false) refuseField(where, key, value, 'none');
  }
  return architecture;
}

const isArchitecture = (value: unknown): value is ModelType =>
  typeof value === 'string' && ARCHITECTURES.includes(value);

/** transformers' name of a tensor. @throws FormatError */
function nameOf(where: string, architecture: string, label: string): string {
  const [, layer = '', kind] = PARTS.exec(label) ?? [];
  const path = pathOfGguf({ architecture }, layer) ?? pathOfNorm(layer);
  if (path === null)
    throw new FormatError(
      `${where}: tensor '${label}' is not known, expected those of a ${architecture} model`,
    );
  return `${path}.${kind}`;
}

function pathOfNorm(layer: string): string | null {
  if (layer === LAST_NORM.label) return LAST_NORM.path;
  const [, block, short] = /^blk\.(\d+)\.(\w+)$/.exec(layer) ?? [];
  const norm = Object.keys(NORMS).find((name) => NORMS[name] === short);
  return norm === undefined ? null : `model.layers.${block}.${norm}`;
}

/** llama.cpp's name of a tensor of the model. */
function labelOf(architecture: string, name: string): string {
  const [, path = '', kind] = PARTS.exec(name) ?? [];
  if (path === LAST_NORM.path) return `${LAST_NORM.label}.${kind}`;
  const [, block, layer = ''] = /^model\.layers\.(\d+)\.(.+)$/.exec(path) ?? [];
  return `${ggufName({ architecture, tied: false }, path) ?? `blk.${block}.${NORMS[layer]}`}.${kind}`;
}

/** Heads whose rows llama.cpp's converter has reordered; 0 for none. */
function pairedHeadsOf(config: ModelConfig, architecture: string, label: string): number {
  const layer = PARTS.exec(label)?.[1] ?? '';
  if (!isReordered(architecture, layer)) return 0;
  return layer.endsWith('q') ? config.numAttentionHeads : config.numKeyValueHeads;
}

interface GgufParts {
  readonly fields: Fields;
  readonly modelType: ModelType;
  readonly names: ReadonlySet<string>;
  readonly vocabSize: number;
  readonly factors: Float32Array | null;
  readonly eos: unknown;
}

function configFromGguf(where: string, parts: GgufParts): ModelConfig {
  const { fields, modelType, names, vocabSize, eos } = parts;
  if (vocabSize < 1) throw new FormatError(`${where}: there is no tensor 'token_embd.weight', expected one`);
  const hiddenSize = fields.count('embedding_length');
  const numAttentionHeads = fields.count('attention.head_count');
  const headDim = fields.count('attention.key_length', hiddenSize / numAttentionHeads, LARGEST_HEAD);
  for (const name of ['attention.value_length', 'rope.dimension_count']) {
    const own = fields.count(name, headDim);
    if (own !== headDim) refuseField(where, `${modelType}.${name}`, own, `${headDim}, the size of a head`);
  }
  const numHiddenLayers = fields.count('block_count', undefined, MOST_BLOCKS);
  const window =
    fields.raw('attention.sliding_window') === undefined ? null : fields.count('attention.sliding_window');
  return checkConfig(where, {
    modelType,
    vocabSize,
    hiddenSize,
    intermediateSize: fields.count('feed_forward_length'),
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads: fields.count('attention.head_count_kv', numAttentionHeads),
    headDim,
    maxPositionEmbeddings: fields.count('context_length'),
    rmsNormEps: fields.positive('attention.layer_norm_rms_epsilon'),
    tieWordEmbeddings: !names.has('output.weight'),
    qkvBias: names.has('blk.0.attn_q.bias'),
    outBias: names.has('blk.0.attn_output.bias'),
    mlpBias: names.has('blk.0.ffn_gate.bias'),
    qkNorm: names.has('blk.0.attn_q_norm.weight'),
    rope: ropeOf(where, parts, headDim),
    windows: Array.from({ length: numHiddenLayers }, () => window),
    eosTokenIds: typeof eos === 'number' ? [eos] : [],
  });
}

function ropeOf(where: string, { fields, factors, modelType }: GgufParts, headDim: number): RopeConfig {
  const theta = fields.positive('rope.freq_base', 10_000);
  const type = fields.raw('rope.scaling.type') ?? 'none';
  if (type !== 'none' && type !== 'linear')
    refuseField(where, `${modelType}.rope.scaling.type`, type, "'none' or 'linear'");
  // An older name of the factor, of files without a type.
  const older = fields.positive('rope.scale_linear', 1);
  const linear = type === 'linear' ? fields.positive('rope.scaling.factor', older) : older;
  if (factors !== null && factors.length !== headDim / 2)
    throw new FormatError(
      `${where}: tensor '${FREQUENCIES}' has ${factors.length} elements, expected ${headDim / 2}`,
    );
  const wrong = factors?.find((factor) => !(factor > 0 && Number.isFinite(factor)));
  if (wrong !== undefined)
    throw new FormatError(`${where}: tensor '${FREQUENCIES}' holds ${wrong}, expected numbers above 0`);
  if (factors !== null) return { theta, factors: factors.map((factor) => factor * linear) };
  return { theta, factors: linear === 1 ? null : linearFactors(headDim, linear) };
}

/** transformers' `config.json` as a `ModelConfig`. */
import { isPlainObject } from '../../values/kind.js';
import {
  checkConfig,
  LARGEST_HEAD,
  linearFactors,
  llama3Factors,
  MOST_BLOCKS,
  type ModelConfig,
  type ModelType,
  type RopeConfig,
} from '../config.js';
import { type Fields, fieldsOf, objectOf, refuseField } from './fields.js';

const TYPES: readonly string[] = ['llama', 'mistral', 'qwen2', 'qwen3'];

/** Fields that change what a model computes wherever they are not null, false or this. */
const NEUTRAL: Readonly<Record<string, unknown>> = {
  partial_rotary_factor: 1,
  pretraining_tp: 1,
  num_experts: 0,
  num_local_experts: 0,
};
const SUSPECT =
  /expert|moe|soft_?cap|multiplier|logit.*scal|scal.*logit|embedding_scale|scale_emb|scale_depth|mup|partial_rotary|rotary_pct|alibi|clip_qkv|sinks|output_gate|attention_chunk|cross_attention|encoder_decoder|quantization_config|pretraining_tp|kv_lora|use_qk_norm|no_rope/;

/** @param text - of `config.json` @throws FormatError */
export function configFromHf(where: string, text: string): ModelConfig {
  const root = objectOf(where, text);
  const fields = fieldsOf(where, (name) => root[name]);
  const modelType = fields.raw('model_type');
  if (!isModelType(modelType))
    return refuseField(where, 'model_type', modelType, `one of ${TYPES.join(', ')}`);
  for (const [name, value] of Object.entries(root))
    if (SUSPECT.test(name) && value !== null && value !== false && value !== (NEUTRAL[name] ?? null))
      refuseField(where, name, value, 'none');
  const act = fields.raw('hidden_act') ?? 'silu';
  if (act !== 'silu' && act !== 'swish') refuseField(where, 'hidden_act', act, "'silu'");
  const hiddenSize = fields.count('hidden_size');
  const numAttentionHeads = fields.count('num_attention_heads');
  const numHiddenLayers = fields.count('num_hidden_layers', undefined, MOST_BLOCKS);
  const headDim = fields.count(
    'head_dim',
    modelType === 'qwen3' ? 128 : hiddenSize / numAttentionHeads,
    LARGEST_HEAD,
  );
  const maxPositionEmbeddings = fields.count('max_position_embeddings');
  const attentionBias = fields.flag('attention_bias', false);
  return checkConfig(where, {
    modelType,
    vocabSize: fields.count('vocab_size'),
    hiddenSize,
    intermediateSize: fields.count('intermediate_size'),
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads: keyValueHeads(fields, modelType, numAttentionHeads),
    headDim,
    maxPositionEmbeddings,
    rmsNormEps: fields.positive('rms_norm_eps', 1e-6),
    tieWordEmbeddings: fields.flag('tie_word_embeddings', false),
    qkvBias: modelType === 'qwen2' || attentionBias,
    outBias: modelType !== 'qwen2' && attentionBias,
    mlpBias: fields.flag('mlp_bias', false),
    qkNorm: modelType === 'qwen3',
    rope: ropeOf(where, fields, headDim, maxPositionEmbeddings),
    windows: windowsOf(where, fields, modelType, numHiddenLayers),
    eosTokenIds: idsOf(where, fields.raw('eos_token_id')),
  });
}

/** As many as heads where the field is null; where it is missing, only Llama's default is that. */
function keyValueHeads(fields: Fields, modelType: ModelType, heads: number): number {
  const own = modelType === 'llama' || fields.has('num_key_value_heads');
  return fields.count('num_key_value_heads', own ? heads : undefined);
}

const isModelType = (value: unknown): value is ModelType =>
  typeof value === 'string' && TYPES.includes(value);

/** What `rope_parameters`, or `rope_scaling` in older files, may say; all else would change the result. */
const ROPE_FIELDS = [
  ...['rope_theta', 'rope_type', 'type', 'partial_rotary_factor', 'factor'],
  ...['low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings'],
];

/** `rope_theta` and the scaling, in one object or side by side. */
function ropeOf(where: string, fields: Fields, headDim: number, length: number): RopeConfig {
  const name = isFilled(fields.raw('rope_scaling')) ? 'rope_scaling' : 'rope_parameters';
  const given = fields.raw(name) ?? {};
  if (!isPlainObject(given)) return refuseField(where, name, given, 'an object');
  for (const [field, value] of Object.entries(given))
    if (!ROPE_FIELDS.includes(field) && value !== null) refuseField(where, `${name}.${field}`, value, 'none');
  const rope = fieldsOf(where, (field) => given[field], `${name}.`);
  const theta = rope.positive('rope_theta', fields.positive('rope_theta', 10_000));
  const type = rope.raw('rope_type') ?? rope.raw('type') ?? 'default';
  const partial = rope.raw('partial_rotary_factor') ?? 1;
  if (partial !== 1) refuseField(where, `${name}.partial_rotary_factor`, partial, '1');
  if (type === 'default') return { theta, factors: null };
  if (type === 'linear') return { theta, factors: linearFactors(headDim, rope.positive('factor')) };
  if (type !== 'llama3')
    return refuseField(where, `${name}.rope_type`, type, "'default', 'linear' or 'llama3'");
  const original = 'original_max_position_embeddings';
  const scaling = {
    factor: rope.positive('factor'),
    lowFreqFactor: rope.positive('low_freq_factor'),
    highFreqFactor: rope.positive('high_freq_factor'),
    // Beside the object it counts more than in it.
    originalLength: fields.count(original, rope.count(original, length)),
  };
  return { theta, factors: llama3Factors(headDim, theta, scaling) };
}

const isFilled = (value: unknown): boolean =>
  value !== undefined && !(isPlainObject(value) && Object.keys(value).length === 0);

/** What `layer_types` says of each layer; without it, what the architecture does. */
function windowsOf(
  where: string,
  fields: Fields,
  modelType: ModelType,
  layers: number,
): readonly (number | null)[] {
  const window = windowOf(fields, modelType);
  const types = fields.raw('layer_types');
  if (types === undefined) {
    const first = modelType === 'mistral' ? 0 : (fields.raw('max_window_layers') ?? 28);
    if (typeof first !== 'number') return refuseField(where, 'max_window_layers', first, 'a number');
    return Array.from({ length: layers }, (_, i) => (i >= first ? window : null));
  }
  if (!Array.isArray(types)) return refuseField(where, 'layer_types', types, 'an array');
  return types.map((type, i) => {
    const name = `layer_types[${i}]`;
    if (type === 'sliding_attention' && window !== null) return window;
    // Mistral's layers are alike: transformers does not look at their types.
    if (type !== 'full_attention' || (modelType === 'mistral' && window !== null))
      return refuseField(
        where,
        name,
        type,
        window === null ? "'full_attention'" : 'a kind that the model has',
      );
    return null;
  });
}

/** The window of layers that have one, with transformers' defaults. */
function windowOf(fields: Fields, modelType: ModelType): number | null {
  if (modelType === 'llama') return null;
  if (modelType === 'mistral' && !fields.has('sliding_window')) return 4096;
  const used = modelType === 'mistral' || fields.flag('use_sliding_window', false);
  if (!used || (fields.has('sliding_window') && fields.raw('sliding_window') === undefined)) return null;
  return fields.count('sliding_window', 4096);
}

function idsOf(where: string, value: unknown): number[] {
  const ids: unknown[] = value === undefined ? [] : Array.isArray(value) ? value : [value];
  return ids.map((id) =>
    typeof id === 'number' && Number.isSafeInteger(id) && id >= 0
      ? id
      : refuseField(where, 'eos_token_id', value, 'ids from 0 up'),
  );
}

/** transformers' `config.json` of a merged model: the folder's own with what changed, or made out of a GGUF header. `command.ts` calls it. */
import { llama3Factors, type ModelConfig, type ModelType } from '../../models/config.js';
import { objectOf } from '../../models/source/fields.js';
import type { ModelSource } from '../../models/source/model-source.js';
import { UserError } from '../name-errors.js';
import type { MergeType } from './shards.js';

const CLASSES: Readonly<Record<ModelType, string>> = {
  llama: 'LlamaForCausalLM',
  mistral: 'MistralForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
};
const DTYPES = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' } as const;

/** What the merged model is beside its source. */
interface Changed {
  readonly dtype: MergeType;
  /** Whether the head is the embedding. */
  readonly tied: boolean;
}

/** @param path - of the model, for errors @throws UserError for what a config cannot say */
export function configJson(
  path: string,
  { config, metadata, texts }: ModelSource,
  stopIds: readonly number[],
  { dtype, tied }: Changed,
): string {
  const own = texts.get('config.json');
  const before =
    metadata === null && own !== undefined
      ? objectOf(`${path}: config.json`, own)
      : fields(path, config, stopIds);
  const { torch_dtype: _, dtype: __, quantization_config: ___, ...rest } = before;
  const all = { ...rest, torch_dtype: DTYPES[dtype], tie_word_embeddings: tied };
  return `${JSON.stringify(all, null, 2)}\n`;
}

function fields(path: string, config: ModelConfig, stopIds: readonly number[]): Record<string, unknown> {
  const window = config.windows.find((one) => one !== null) ?? null;
  // llama.cpp calls Mistral 'llama' too; a window tells them apart.
  const type = config.modelType === 'llama' && window !== null ? 'mistral' : config.modelType;
  const biased = type === 'llama' && (config.qkvBias || config.outBias);
  if (biased && config.qkvBias !== config.outBias)
    throw new UserError(
      `${path}: biases of queries without those of the output, which no config of ${type} has`,
    );
  return {
    ...{ architectures: [CLASSES[type]], model_type: type, hidden_act: 'silu' },
    ...{
      vocab_size: config.vocabSize,
      hidden_size: config.hiddenSize,
      intermediate_size: config.intermediateSize,
    },
    ...{ num_hidden_layers: config.numHiddenLayers, num_attention_heads: config.numAttentionHeads },
    ...{ num_key_value_heads: config.numKeyValueHeads, head_dim: config.headDim },
    ...{ max_position_embeddings: config.maxPositionEmbeddings, rms_norm_eps: config.rmsNormEps },
    ...{ rope_theta: config.rope.theta, ...scaling(path, config) },
    ...(type === 'llama' || type === 'qwen3' ? { attention_bias: biased } : {}),
    ...(type === 'llama' ? { mlp_bias: config.mlpBias } : {}),
    ...(window === null ? {} : { sliding_window: window }),
    ...(window !== null && type !== 'mistral' ? windowsOf(config) : {}),
    eos_token_id: stopIds.length === 1 ? stopIds[0] : [...stopIds],
  };
}

function windowsOf({ windows }: ModelConfig): Record<string, unknown> {
  const types = windows.map((window) => (window === null ? 'full_attention' : 'sliding_attention'));
  return { use_sliding_window: true, layer_types: types };
}

/** GGUF has the factors of the frequencies; a config the numbers that they are made of. */
function scaling(path: string, { rope, headDim }: ModelConfig): Record<string, unknown> {
  const { factors, theta } = rope;
  if (factors === null) return {};
  const first = factors[0]!;
  if (factors.every((factor) => factor === first))
    return { rope_scaling: { rope_type: 'linear', factor: first } };
  const factor = factors.reduce((most, one) => Math.max(most, one), 1);
  const numbers = { factor, lowFreqFactor: 1, highFreqFactor: 4, originalLength: 8192 };
  const made = llama3Factors(headDim, theta, numbers);
  if (made.some((one, i) => Math.abs(one - factors[i]!) > 1e-3 * one))
    throw new UserError(
      `${path}: the factors of its rotary frequencies are not those of Llama 3, expected none or those`,
    );
  const rest = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };
  return { rope_scaling: { rope_type: 'llama3', factor, ...rest } };
}

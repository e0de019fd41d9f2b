/** The fields of PEFT's `adapter_config.json` for LoRA: the config as this package holds it, and what PEFT writes by default. */
import type { Json } from './json.js';
import type { BiasWord } from './peft-words.js';

/** PEFT's LoraConfig fields in camelCase. Patterns keep the order of the file: the first match wins. */
export interface PeftConfig {
  readonly r: number;
  readonly loraAlpha: number;
  readonly loraDropout: number;
  readonly targetModules: readonly string[] | string | null;
  readonly excludeModules: readonly string[] | string | null;
  readonly modulesToSave: readonly string[] | null;
  readonly bias: BiasWord;
  readonly useRslora: boolean;
  readonly useDora: boolean;
  readonly fanInFanOut: boolean;
  readonly initLoraWeights: boolean | string;
  readonly rankPattern: ReadonlyMap<string, number>;
  readonly alphaPattern: ReadonlyMap<string, number>;
  readonly layersToTransform: readonly number[] | number | null;
  readonly layersPattern: readonly string[] | string | null;
  readonly loraBias: boolean;
  /** The file's other fields, unknown ones too, as JSON: they are written back as they came. */
  readonly otherFields: ReadonlyMap<string, Json>;
}

/** Every field that PEFT 0.21 writes, with its default, in JSON. */
export const PEFT_DEFAULTS: Readonly<Record<string, unknown>> = {
  alora_invocation_tokens: null,
  alpha_pattern: {},
  arrow_config: null,
  auto_mapping: null,
  base_model_name_or_path: null,
  bias: 'none',
  corda_config: null,
  ensure_weight_tying: false,
  eva_config: null,
  exclude_modules: null,
  fan_in_fan_out: false,
  inference_mode: true,
  init_lora_weights: true,
  kasa_config: null,
  layer_replication: null,
  layers_pattern: null,
  layers_to_transform: null,
  loftq_config: {},
  lora_alpha: 8,
  lora_bias: false,
  lora_dropout: 0.0,
  lora_ga_config: null,
  megatron_config: null,
  megatron_core: 'megatron.core',
  modules_to_save: null,
  monteclora_config: null,
  peft_type: 'LORA',
  peft_version: '0.21.0',
  qalora_group_size: 16,
  r: 8,
  rank_pattern: {},
  revision: null,
  target_modules: null,
  target_parameters: null,
  task_type: null,
  trainable_token_indices: null,
  use_bdlora: null,
  use_dora: false,
  use_qalora: false,
  use_rslora: false,
  velora_config: null,
};

/** Fields that `PeftConfig` has by name. */
export const NAMED_FIELDS: ReadonlySet<string> = new Set([
  'r',
  'lora_alpha',
  'lora_dropout',
  'target_modules',
  'exclude_modules',
  'modules_to_save',
  'bias',
  'use_rslora',
  'use_dora',
  'fan_in_fan_out',
  'init_lora_weights',
  'rank_pattern',
  'alpha_pattern',
  'layers_to_transform',
  'layers_pattern',
  'lora_bias',
]);

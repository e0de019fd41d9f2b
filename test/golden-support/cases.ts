/** Names of the golden cases: what lies in the golden folder's `core/`, `peft/`, `quant/`, `gguf/` and `tiny/`. */

export const OPTIMIZERS = ['adam', 'adam_decay', 'adamw', 'sgd', 'sgd_momentum', 'sgd_nesterov_decay'];

export const PEFT = [
  'all_linear_exclude',
  'bias_all',
  'bias_lora_only',
  'conv2d',
  'conv2d_dora',
  'conv2d_groups',
  'dora',
  'embedding',
  'embedding_dora',
  'fan_in_fan_out',
  'layers_to_transform',
  'linear',
  'linear_no_bias',
  'linear_rank_1',
  'linear_rank_above_size',
  'lora_bias',
  'modules_to_save',
  'olora',
  'patterns',
  'pissa',
  'regex_target',
  'rslora',
];

export const QUANT = [
  'BF16',
  'F16',
  'IQ4_NL',
  'IQ4_XS',
  'MXFP4',
  'Q2_K',
  'Q3_K',
  'Q4_0',
  'Q4_1',
  'Q4_K',
  'Q5_0',
  'Q5_1',
  'Q5_K',
  'Q6_K',
  'Q8_0',
];

/** Files of `gguf/`, and the folder with the same model. */
export const GGUF = ['f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'q5_1', 'hf'];

export const TINY = [
  'bf16',
  'f16',
  'llama',
  'llama3_rope',
  'llama_bias',
  'llama_linear_rope',
  'llama_one_kv_head',
  'llama_tied',
  'mistral',
  'mistral_window',
  'qwen2',
  'qwen3',
  'sharded',
];

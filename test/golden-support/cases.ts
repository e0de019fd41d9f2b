/** Names of the golden cases: what lies in the golden folder's `core/`, `peft/` and `quant/`. */

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

/** Names of the golden cases: what lies in the golden folder's `core/` and `peft/`. */

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

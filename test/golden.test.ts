/**
 * Golden values from PyTorch and PEFT: `GOLDEN_DIR=<folder> npm run test:golden` runs the same cases over another folder of
 * this layout. Each test reads its files itself, so a missing file fails the case that needs it.
 */
import { test } from 'vitest';
import { onEveryBuild } from './golden-support/builds.js';
import { checkCrossEntropy, checkOptimizer } from './golden-support/core.js';
import { checkPeftCase } from './golden-support/peft.js';

const OPTIMIZERS = ['adam', 'adam_decay', 'adamw', 'sgd', 'sgd_momentum', 'sgd_nesterov_decay'];

test.each(OPTIMIZERS)('core/%s', (name) => onEveryBuild((rt) => checkOptimizer(rt, name)));

test('core/xent', () => onEveryBuild(checkCrossEntropy));

const PEFT = [
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

test.each(PEFT)('peft/%s', (name) => onEveryBuild((rt) => checkPeftCase(rt, name)));

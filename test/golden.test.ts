/**
 * Golden values from PyTorch and PEFT: `GOLDEN_DIR=<folder> npm run test:golden` runs the same cases over another folder of
 * this layout. Each test reads its files itself, so a missing file fails the case that needs it.
 */
import { test } from 'vitest';
import { onBestBuild, onEveryBuild } from './golden-support/builds.js';
import { GGUF, OPTIMIZERS, PEFT, QUANT, TINY } from './golden-support/cases.js';
import { checkCrossEntropy, checkOptimizer } from './golden-support/core.js';
import {
  checkSmolGradients,
  checkSmolMemory,
  checkSmolTraining,
  checkTinyGradients,
} from './golden-support/gradients.js';
import { checkGgufCase, checkTinyCase } from './golden-support/language.js';
import { checkPeftCase } from './golden-support/peft.js';
import { checkQuantCase } from './golden-support/quant.js';
import { HAS_SMOLLM2 } from './golden-support/smollm2.js';
import { checkGreedy } from './golden-support/smollm2-greedy.js';
import { checkAdapted, checkForward } from './golden-support/smollm2-model.js';
import { checkRows } from './golden-support/smollm2-rows.js';
import { checkChats, checkTokens } from './golden-support/smollm2-text.js';

test.each(OPTIMIZERS)('core/%s', (name) => onEveryBuild((rt) => checkOptimizer(rt, name)));

test('core/xent', () => onEveryBuild(checkCrossEntropy));

test.each(PEFT)('peft/%s', (name) => onEveryBuild((rt) => checkPeftCase(rt, name)));

test.each(QUANT)('quant/%s', (name) => checkQuantCase(name));

test.each(GGUF)('gguf/%s', (label) => onEveryBuild((rt) => checkGgufCase(rt, label)));

test.each(TINY)('tiny/%s', (name) => onEveryBuild((rt) => checkTinyCase(rt, name)));

test.each(TINY)('tiny/%s/gradients', (name) => onEveryBuild((rt) => checkTinyGradients(rt, name)));

test.skipIf(!HAS_SMOLLM2)('smollm2/tokens', checkTokens);

test.skipIf(!HAS_SMOLLM2)('smollm2/chats', checkChats);

test.skipIf(!HAS_SMOLLM2)('smollm2/rows', checkRows);

test.skipIf(!HAS_SMOLLM2)('smollm2/greedy', () => onBestBuild(checkGreedy));

test.skipIf(!HAS_SMOLLM2)('smollm2/forward', checkForward);

test.skipIf(!HAS_SMOLLM2)('smollm2/adapted', checkAdapted);

test.skipIf(!HAS_SMOLLM2)('smollm2/gradients', () => onBestBuild(checkSmolGradients));

// Two of the twenty steps in `npm test`, all of them in `npm run test:golden`: minutes, on a machine that does other things an hour.
const steps = process.env.npm_lifecycle_event === 'test:golden' ? 20 : 2;
test.skipIf(!HAS_SMOLLM2)(
  steps === 20 ? 'smollm2/train and smollm2/greedy_trained, 20 steps' : `smollm2/train, ${steps} steps`,
  () => onBestBuild((rt) => checkSmolTraining(rt, steps)),
  3_600_000,
);

test.skipIf(!HAS_SMOLLM2 || steps !== 20)('smollm2, memory of a step over 256 tokens', () =>
  onBestBuild(checkSmolMemory),
);

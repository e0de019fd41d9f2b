/**
 * Every public call that can reach the allocator, each of its allocations failing in turn: after the error everything is as
 * before the call, and the retry gives the bits of an undisturbed run. The calls are found by walking the exports: a new one
 * has a scenario, or a reason why it cannot allocate.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { createRuntime } from '../src/index.js';
import { publicCalls } from './support/injection/exports.js';
import { LAYERS } from './support/injection/layers.js';
import { LORA } from './support/injection/lora.js';
import { MODELS } from './support/injection/models.js';
import { OPERATIONS } from './support/injection/operations.js';
import { QUANTISED_WEIGHTS } from './support/injection/quantised.js';
import { REST } from './support/injection/rest.js';
import { inject, Pair, runtimesOf } from './support/injection/run.js';
import { FIXED } from './support/injection/scenario.js';
import { TRAINING } from './support/injection/train.js';

const GROUPS = {
  operations: OPERATIONS,
  layers: LAYERS,
  'the runtime and optimisers': REST,
  adapters: LORA,
  'quantised weights': QUANTISED_WEIGHTS,
  'language models': MODELS,
  training: TRAINING,
};
const SCENARIOS = Object.values(GROUPS).flat();

/** Calls that need no scenario, by the reason. */
const NO_ALLOCATION: Readonly<Record<string, readonly string[]>> = {
  'an error class': [
    'AdapterError',
    'CheckpointError',
    'FormatError',
    'OutOfMemoryError',
    'TrainingError',
    'WorkerError',
  ],
  'abstract: its subclasses are constructed': ['Module', 'Optimizer', 'WrappedModel', 'Held', 'AdamBase'],
  'made by other calls only': ['Runtime', 'Tensor', 'Parameter', 'LoraModel'],
  'makes a runtime, which has its own test (engine/reserve)': ['createRuntime'],
  'lets events be handled, and touches no memory': ['yieldToEvents'],
  'gives memory back': [
    'CausalLM.dispose',
    'KvCache.dispose',
    'Module.dispose',
    'LoraLayer.dispose',
    'WrappedModel.dispose',
    'Optimizer.dispose',
    'Runtime.dispose',
    'Held.dispose',
    'Trainer.dispose',
  ],
  'makes a description, which holds no tensors': [
    'linearAdaptation',
    'embeddingAdaptation',
    'conv2dAdaptation',
  ],
  'works on text, in memory of JavaScript': [
    'ChatTemplate',
    'ChatTemplate.render',
    'TextStream',
    'TextStream.flush',
    'TextStream.push',
    'TextTokenizer',
    'TextTokenizer.decode',
    'TextTokenizer.encode',
    'TextTokenizer.fromGguf',
    'TextTokenizer.fromJson',
    'TextTokenizer.idOf',
    'TextTokenizer.tokenOf',
  ],
  'works on rows of tokens, in memory of JavaScript': ['joinRows', 'packRows', 'parseRows'],
  'keeps files, and touches no memory of a runtime': ['indexedDbStore'],
  'writes by generate, and takes no more': ['generateText'],
  'moves or reads references and numbers': [
    'KvCache.truncate',
    'Module.namedModules',
    'Module.namedParameters',
    'Module.parameters',
    'Module.train',
    'Module.eval',
    'WrappedModel.train',
    'WrappedModel.namedParameters',
    'WrappedModel.trainableParameters',
    'WrappedModel.parameterGroups',
    'WrappedModel.summary',
    'LoraModel.report',
    'LoraModel.layer',
    'LoraModel.setScale',
    'LoraLayer.factors',
    'LoraLayer.setScale',
    'LoraLayer.children',
    'LoraLayer.ownParameters',
    'LoraLayer.parameterSlots',
    'WrappedModel.children',
    'WrappedModel.ownParameters',
    'Sequential.children',
    'Runtime.info',
    'Runtime.memory',
    'Runtime.randomState',
    'Runtime.setRandomState',
    'dropoutState',
    'loadDropoutState',
    'Optimizer.exportState',
    'Optimizer.importState',
    'schedule',
    'Runtime.resetPeakMemory',
    'Held.keep',
    'Tensor.item',
    'Tensor.toString',
  ],
};

const wasm = await WebAssembly.compile(await readFile(new URL('../build/simd.wasm', import.meta.url)));
const pair = new Pair(await runtimesOf(wasm));
afterAll(() => pair.dispose());

test('every public call has a scenario, or a reason why it cannot allocate', async () => {
  using rt = await createRuntime({ threads: 1 });
  const calls = publicCalls(rt);
  const reasons = Object.values(NO_ALLOCATION).flat();
  const known = new Set([...reasons, ...SCENARIOS.flatMap(({ covers }) => covers)]);
  const missing = calls.filter((name) => !known.has(name));
  expect(missing.map((name) => `no scenario for ${name}: add one or say why it cannot allocate`)).toEqual([]);
  // Nor is there one for what is no call any more.
  expect([...known].filter((name) => !calls.includes(name))).toEqual([]);
});

describe.each(Object.entries(GROUPS))('an allocation fails in %s', (_group, scenarios) => {
  test.each(scenarios.map((scenario) => [scenario.title, scenario] as const))(
    '%s',
    async (_title, scenario) => {
      const { faults } = await inject(scenario, pair, () => FIXED);
      expect(faults).toEqual([]);
    },
  );
});

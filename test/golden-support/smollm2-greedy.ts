/**
 * The case `smollm2/greedy`: what the model writes, with an adapter and without, with no stop, against transformers and PEFT. What
 * one writes that was trained is checked behind `smollm2/train`, in gradients.ts.
 */
import { LoraModel, type Runtime } from 'lora-wasm';
import { type LanguageModel, loadModel } from 'lora-wasm/models';
import { expect } from 'vitest';
import { goldenBytes, goldenJson } from './files.js';
import { expectGreedy } from './greedy.js';
import { MODEL_URL } from './smollm2.js';

/** A golden text, as `smollm2/index.json` has it. */
export interface Greedy {
  readonly prompt: string;
  readonly ids: readonly number[];
  readonly text: string;
}

export async function checkGreedy(rt: Runtime): Promise<void> {
  const index = goldenJson<{ greedy_base: Greedy; greedy_adapted: Greedy }>('smollm2/index.json');
  using lm = await loadModel(rt, MODEL_URL);
  await expectGreedyText(lm, index.greedy_base);
  using lora = LoraModel.attach(lm.model);
  await lora.loadAdapter('golden', {
    config: goldenJson<Record<string, unknown>>('smollm2/adapter/adapter_config.json'),
    weights: goldenBytes('smollm2/adapter/adapter_model.safetensors'),
  });
  lora.setAdapter('golden');
  await expectGreedyText(lm, index.greedy_adapted);
}

/** What the model writes behind the prompt as it is now. */
export async function expectGreedyText(lm: LanguageModel, { prompt, ids, text }: Greedy): Promise<void> {
  await expectGreedy(lm, lm.tokenizer!.encode(prompt, { addSpecialTokens: false }), ids);
  expect(lm.tokenizer!.decode(ids)).toBe(text);
}

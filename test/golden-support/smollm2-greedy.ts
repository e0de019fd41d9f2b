/** The case `smollm2/greedy`: what the model writes, with an adapter and without, with no stop, against transformers and PEFT. */
import { LoraModel, type Runtime } from 'lora-wasm';
import { generate, type LanguageModel, loadModel } from 'lora-wasm/models';
import { expect } from 'vitest';
import { goldenBytes, goldenJson } from './files.js';
import { MODEL_URL } from './smollm2.js';

interface Greedy {
  readonly prompt: string;
  readonly ids: readonly number[];
  readonly text: string;
}

/** Where two logits are this near, either may be the larger one. */
const NEAR = 0.01;

export async function checkGreedy(rt: Runtime): Promise<void> {
  const index = goldenJson<{ greedy_base: Greedy; greedy_adapted: Greedy }>('smollm2/index.json');
  using lm = await loadModel(rt, MODEL_URL);
  const check = async ({ prompt, ids, text }: Greedy): Promise<void> => {
    await expectGreedy(lm, lm.tokenizer!.encode(prompt, { addSpecialTokens: false }), ids);
    expect(lm.tokenizer!.decode(ids)).toBe(text);
  };
  await check(index.greedy_base);
  using lora = LoraModel.attach(lm.model);
  await lora.loadAdapter('golden', {
    config: goldenJson<Record<string, unknown>>('smollm2/adapter/adapter_config.json'),
    weights: goldenBytes('smollm2/adapter/adapter_model.safetensors'),
  });
  lora.setAdapter('golden');
  await check(index.greedy_adapted);
}

/** The golden ids, or others from a step on whose two best logits are equal but for rounding. */
export async function expectGreedy(
  { model }: LanguageModel,
  prompt: readonly number[],
  ids: readonly number[],
): Promise<void> {
  const found: number[] = [];
  for await (const id of generate(model, prompt, { maxTokens: ids.length })) found.push(id);
  expect(found).toHaveLength(ids.length);
  const step = found.findIndex((id, i) => id !== ids[i]);
  if (step < 0) return;
  const rt = model.runtime;
  const before = Int32Array.from([...prompt, ...ids.slice(0, step)]);
  using cache = model.cache(before.length);
  const logits = rt.scope(() => model.decode(rt.tensor(before, [1, before.length]), cache).toArray());
  const [first = 0, second = 0] = logits.toSorted((a, b) => b - a);
  expect(first - second, `the two best logits of step ${step}, where ${found[step]} came`).toBeLessThan(NEAR);
}

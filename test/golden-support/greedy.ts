/** What a model writes where each token is the likeliest, against golden ids. */
import { generate, type LanguageModel } from 'lora-wasm/models';
import { expect } from 'vitest';

/** Where two logits are this near, either may be the larger one. */
const NEAR = 0.01;

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
  expect([first, second], `logits of step ${step}, where ${found[step]} came`).toContain(
    logits[found[step]!],
  );
  expect(first - second, `the two best logits of step ${step}, where ${found[step]} came`).toBeLessThan(NEAR);
}

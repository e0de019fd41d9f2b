/**
 * A language model learns over weights in blocks, by every kind of adapter and on its head too: the loss falls, frozen bytes are what
 * they were, and blocks that are computed again give the same bits. The bits of products over blocks: `lora/quantised.test.ts`.
 */
import { expect, test } from 'vitest';
import { AdamW, createRuntime, type LoraConfig, LoraModel, type Runtime, scale } from '../../src/index.js';
import { type CausalLM, causalLoss, loadModel } from '../../src/models/index.js';
import { folderFor } from '../support/tiny-model.js';

const IDS = Int32Array.from({ length: 40 }, (_, i) => (3 * i * i + i) % 37);

type Options = Partial<LoraConfig>;

const ALL = { r: 3, loraAlpha: 6, targetModules: 'all-linear' } as const;
const KINDS: readonly (readonly [string, readonly Options[]])[] = [
  ['LoRA', [{}]],
  ['rsLoRA with dropout', [{ useRslora: true, loraDropout: 0.1 }]],
  ['DoRA', [{ useDora: true }]],
  ['two adapters at once', [{}, { r: 2, targetModules: ['q_proj', 'down_proj'] }]],
  ['LoRA on the head and the embedding', [{ targetModules: ['lm_head', 'embed_tokens', 'v_proj'] }]],
  ['DoRA on the head', [{ targetModules: ['lm_head', 'o_proj'], useDora: true }]],
  ['a head that is saved whole', [{ modulesToSave: ['lm_head'] }]],
];

function attach(model: CausalLM, kinds: readonly Options[]): LoraModel<CausalLM> {
  const [first, ...others] = kinds.map((own, i) => [`a${i}`, { ...ALL, ...own }] as const);
  const lora = LoraModel.attach(model, first![1], first![0]);
  for (const [name, config] of others) lora.addAdapter(name, config);
  lora.setAdapter(kinds.map((_, i) => `a${i}`));
  return lora;
}

/** Mean loss and the gradients of all that is trained. */
function stepOf(
  rt: Runtime,
  model: CausalLM,
  lora: LoraModel<CausalLM>,
): { loss: number; grads: number[][] } {
  for (const parameter of lora.trainableParameters()) parameter.grad = null;
  const loss = rt.scope(() => {
    const { sum, count } = causalLoss(model, rt.tensor(IDS, [2, 20]), IDS);
    const mean = scale(sum, 1 / count);
    mean.backward();
    return mean.item();
  });
  return { loss, grads: lora.trainableParameters().map(({ grad }) => [...grad!.toArray()]) };
}

/** The bytes of everything that is not trained. */
const frozen = (lora: LoraModel<CausalLM>): Map<string, string> =>
  new Map(
    lora
      .namedParameters()
      .filter(([, { requiresGrad }]) => !requiresGrad)
      .map(([name, parameter]) => [name, parameter.bytes().join()]),
  );

test.each(KINDS)('training over blocks: %s', async (_, kinds) => {
  using rt = await createRuntime({ seed: 7 });
  const { model } = await loadModel(rt, folderFor({ intermediate_size: 64 }), {
    weights: 'q8_0',
  });
  const lora = attach(model, kinds);
  expect(lora.namedParameters().some(([, { dtype }]) => dtype === 'q8_0')).toBe(true);
  const before = frozen(lora);
  const optimizer = new AdamW(lora.parameterGroups({ lr: 0.01, loraPlusLrRatio: 4 }));
  const losses: number[] = [];
  for (let step = 0; step < 6; step++) {
    losses.push(stepOf(rt, model, lora).loss);
    optimizer.step();
  }
  expect(losses.at(-1)!).toBeLessThan(0.97 * losses[0]!);
  expect(frozen(lora)).toEqual(before);

  lora.eval();
  const step = stepOf(rt, model, lora);
  model.gradientCheckpointing = true;
  expect(stepOf(rt, model, lora)).toEqual(step);
  optimizer.dispose();
  lora.dispose();
});

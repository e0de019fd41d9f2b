/** Parameter groups: LoRA+'s rates as PEFT groups them, what decays, and steps that follow each group's settings. */
import { expect, test } from 'vitest';
import {
  AdamW,
  Embedding,
  LayerNorm,
  Linear,
  LoraModel,
  mseLoss,
  type ParameterGroup,
  SGD,
} from '../../src/index.js';
import { chain } from '../support/chain.js';
import { describeRuntimes } from '../support/runtimes.js';

describeRuntimes('parameter groups', (rt) => {
  const net = () =>
    chain({ wte: new Embedding(rt(), 7, 6), norm: new LayerNorm(rt(), 6), fc: new Linear(rt(), 6, 4) });
  const attach = () =>
    LoraModel.attach(net(), {
      ...{ r: 2, targetModules: ['wte', 'fc'], modulesToSave: ['norm'], bias: 'lora_only' as const },
      useDora: true,
    });

  /** Names of a group's parameters by what they are called in the model. */
  const named = (lora: LoraModel, { parameters }: ParameterGroup): string[] =>
    lora
      .namedParameters()
      .filter(([, parameter]) => parameters.includes(parameter))
      .map(([name]) => name);

  test('LoRA+ gives B and vectors their ratio, embeddings a rate of their own; vectors do not decay', () => {
    const lora = attach();
    const groups = lora.parameterGroups({ lr: 1e-3, loraPlusLrRatio: 16, weightDecay: 0.1 });
    const found = groups.map((group) => [group.lr, group.weightDecay, named(lora, group)]);
    expect(found).toEqual([
      [1e-6, 0.1, ['wte.lora_embedding_A.default', 'wte.lora_embedding_B.default']],
      [
        0.016,
        0,
        [
          'wte.lora_magnitude_vector.default.weight',
          'fc.lora_magnitude_vector.default.weight',
          'norm.modules_to_save.default.weight',
          'norm.modules_to_save.default.bias',
          'fc.trained.default.bias',
        ],
      ],
      [1e-3, 0.1, ['fc.lora_A.default.weight']],
      [0.016, 0.1, ['fc.lora_B.default.weight']],
    ]);
    const all = groups.flatMap(({ parameters }) => parameters);
    expect(new Set(all)).toEqual(new Set(lora.trainableParameters()));
    expect(all).toHaveLength(lora.trainableParameters().length);
    const plain = lora.parameterGroups({ lr: 1e-3, decayVectors: true });
    expect(plain.map(({ lr, weightDecay }) => [lr, weightDecay])).toEqual([[1e-3, 0]]);
  });

  test('a step moves each group by its own rate and decay', () => {
    const lora = attach();
    const ids = rt()
      .tensor(Int32Array.of(0, 3, 6))
      .keep();
    const groups = lora.parameterGroups({
      lr: 0.1,
      loraPlusLrRatio: 2,
      loraPlusLrEmbedding: 0.05,
      weightDecay: 0.5,
    });
    const optimizer = new SGD(groups, { lr: 9, weightDecay: 9 });
    rt().scope(() => mseLoss(lora.forward(ids), rt().zeros([3, 4])).backward());
    const before = groups.map(({ parameters }) =>
      parameters.map((p) => [p.toArray(), p.grad!.toArray()] as const),
    );
    optimizer.step();
    for (const [i, { lr, weightDecay, parameters }] of groups.entries())
      for (const [j, parameter] of parameters.entries()) {
        const [p, g] = before[i]![j]!;
        for (const [k, value] of parameter.toArray().entries())
          expect(value).toBeCloseTo(p[k]! - lr! * (g[k]! + weightDecay! * p[k]!), 5);
      }
    optimizer.lr = optimizer.lr / 2;
    expect(() => new AdamW([{ parameters: [] }])).toThrow('expected at least one trainable Parameter');
    expect(() => new AdamW([{ parameters: lora.trainableParameters(), rate: 1 } as ParameterGroup])).toThrow(
      "unknown option 'rate'",
    );
    expect(() => new AdamW([...groups, groups[0]!])).toThrow('appears twice');
  });
});

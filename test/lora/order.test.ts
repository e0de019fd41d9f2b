/** Operations in orders that are easy to get wrong: what one adapter does must not reach another, nor the plain model. */
import { expect, test } from 'vitest';
import {
  Embedding,
  Linear,
  type LoraConfig,
  LoraModel,
  Module,
  type Runtime,
  type Tensor,
} from '../../src/index.js';
import { describeRuntimes } from '../support/runtimes.js';

class Mlp extends Module {
  readonly fc1: Linear;
  readonly fc2: Linear;

  constructor(rt: Runtime) {
    super();
    this.fc1 = new Linear(rt, 13, 11);
    this.fc2 = new Linear(rt, 11, 7);
  }

  override forward(x: Tensor): Tensor {
    return this.fc2.forward(this.fc1.forward(x));
  }
}

/** The head's weight is the embedding's. */
class Tied extends Module {
  readonly embed: Embedding;
  readonly head: Linear;

  constructor(rt: Runtime) {
    super();
    this.embed = new Embedding(rt, 9, 8);
    this.head = new Linear(rt, 8, 9, { bias: false, weight: this.embed.weight });
  }

  override forward(ids: Tensor): Tensor {
    return this.head.forward(this.embed.forward(ids));
  }
}

const PLAIN = { r: 4, targetModules: ['fc1', 'fc2'] } as const;

/** Gives every value of the adapters a random one. */
function stir(rt: Runtime, lora: LoraModel): void {
  for (const [name, parameter] of lora.namedParameters())
    if (/lora_|trained|modules_to_save/.test(name))
      parameter.set(rt.scope(() => rt.normal(parameter.shape, 0.5).toArray()) as Float32Array);
}

function valuesOf(rt: Runtime, model: Module, x: Tensor): number[] {
  return rt.scope(() => [...rt.noGrad(() => model.forward(x).toArray())]);
}

function apart(a: readonly number[], b: readonly number[]): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

describeRuntimes('orders of operations', (rt) => {
  const more: Partial<LoraConfig>[] = [
    { useDora: true },
    { initLoraWeights: 'pissa' },
    { initLoraWeights: 'olora' },
    { bias: 'all' },
  ];
  for (const options of more) {
    test(`an adapter with ${JSON.stringify(options)} made while another is merged starts from the base`, () => {
      const lora = LoraModel.attach(new Mlp(rt()), { ...PLAIN, loraBias: true }, 'first').eval();
      stir(rt(), lora);
      const x = rt().normal([3, 13]).keep();
      const base = lora.withAdaptersDisabled(() => valuesOf(rt(), lora, x));
      lora.merge();
      const merged = valuesOf(rt(), lora, x);
      lora.addAdapter('second', { ...PLAIN, ...options });
      expect(valuesOf(rt(), lora, x)).toEqual(merged);
      lora.unmerge();
      lora.setAdapter('second');
      expect(apart(valuesOf(rt(), lora, x), base)).toBeLessThan(1e-4);
      expect(apart(merged, base)).toBeGreaterThan(0.1);
    });
  }

  for (const options of [{}, { initLoraWeights: 'pissa' }, { initLoraWeights: 'olora' }] as const) {
    test(`a tied head with ${JSON.stringify(options)} merged for good leaves the embedding alone, and what was frozen frozen`, () => {
      const model = new Tied(rt());
      for (const parameter of model.parameters()) parameter.requiresGrad = false;
      const lora = LoraModel.attach(model, { r: 4, targetModules: ['head'], ...options }).eval();
      stir(rt(), lora);
      const ids = rt()
        .tensor(Int32Array.of(0, 3, 8), [3], { dtype: 'i32' })
        .keep();
      const table = [...model.embed.weight.toArray()];
      const before = valuesOf(rt(), lora, ids);
      expect(lora.mergeAndUnload()).toBe(model);
      expect([...model.embed.weight.toArray()]).toEqual(table);
      expect(apart(valuesOf(rt(), model, ids), before)).toBeLessThan(1e-3);
      expect(model.parameters().map(({ requiresGrad }) => requiresGrad)).toEqual([false, false]);
    });
  }
});

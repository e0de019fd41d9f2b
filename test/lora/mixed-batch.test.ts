/** Rows of a batch with adapters of their own that carry trained biases and saved modules: each row is that of a full run. */
import { expect, test } from 'vitest';
import {
  Conv2d,
  Embedding,
  LayerNorm,
  Linear,
  type LoraConfig,
  LoraModel,
  Module,
  mean,
  type Parameter,
  ReLU,
  type Runtime,
  Sequential,
  type Tensor,
} from '../../src/index.js';
import { failEachAllocation } from '../support/failing-allocator.js';
import { apart, valuesOf } from '../support/layers.js';
import { stirAdapters } from '../support/mixed-model.js';
import { Doubled } from '../support/own-forwards.js';
import { describeRuntimes } from '../support/runtimes.js';

class Classifier extends Module {
  readonly wte: Embedding;
  readonly conv: Conv2d;
  readonly norm: LayerNorm;
  readonly fc: Linear;
  readonly own: Doubled;
  readonly head: Sequential;

  constructor(rt: Runtime) {
    super();
    this.wte = new Embedding(rt, 9, 6);
    this.conv = new Conv2d(rt, 2, 4, 3, { padding: 1 });
    this.norm = new LayerNorm(rt, 4);
    this.fc = new Linear(rt, 4, 5);
    this.own = new Doubled(rt, 5, 5);
    this.head = new Sequential(new Linear(rt, 5, 5, { fanInFanOut: true }), new ReLU(), new Linear(rt, 5, 3));
  }

  /** @param ids - [batch, 2, 4] */
  override forward(ids: Tensor): Tensor {
    const features = this.norm.forward(mean(this.conv.forward(this.wte.forward(ids)), [2, 3]));
    return this.head.forward(this.own.forward(this.fc.forward(features)));
  }
}

const CONFIGS: Record<string, LoraConfig> = {
  plain: { r: 2, targetModules: ['fc', 'head.2'] },
  head: { r: 2, targetModules: ['fc'], modulesToSave: ['head'] },
  all: { r: 4, targetModules: ['fc', 'conv'], bias: 'all' },
  only: { r: 2, targetModules: ['fc', 'wte'], bias: 'lora_only', modulesToSave: ['norm', 'own'] },
  tables: { r: 2, targetModules: ['fc'], modulesToSave: ['wte', 'conv'], useDora: true },
  pissa: { r: 2, targetModules: ['fc'], initLoraWeights: 'pissa', bias: 'lora_only' },
};

function attach(rt: Runtime): { lora: LoraModel<Classifier>; ids: Tensor } {
  const lora = LoraModel.attach(new Classifier(rt)).eval() as LoraModel<Classifier>;
  // Modules are saved before others adapt them.
  for (const name of ['head', 'tables', 'plain', 'all', 'only', 'pissa'])
    lora.addAdapter(name, CONFIGS[name]!);
  stirAdapters(rt, lora);
  const ids = rt.tensor(
    Int32Array.from({ length: NAMES.length * 8 }, (_, i) => (i * 5) % 9),
    [NAMES.length, 2, 4],
  );
  return { lora, ids: ids.keep() };
}

const NAMES = ['head', 'plain', '__base__', 'all', 'only', 'tables', 'head', 'pissa', '__base__', 'all'];

describeRuntimes('mixed batches', (rt) => {
  test('rows have the biases and saved modules of their adapters, bit for bit as in full runs, whatever is active', () => {
    const { lora, ids } = attach(rt());
    const mixed = (): number[] =>
      rt().scope(() =>
        rt().noGrad(() => [...lora.withAdapterNames(NAMES, () => lora.forward(ids)).toArray()]),
      );
    const row = (values: number[], i: number): number[] => values.slice(3 * i, 3 * i + 3);
    const base = lora.withAdaptersDisabled(() => valuesOf(rt(), lora, ids));
    const y = mixed();
    for (const [i, name] of NAMES.entries()) {
      lora.setAdapter(name === '__base__' ? [] : name);
      const whole = valuesOf(rt(), lora, ids);
      // A subclass with a forward of its own may take another path for few rows: a rounding apart.
      expect(apart(row(y, i), row(whole, i)), name).toBeLessThan(1e-5);
      if (name !== 'only' && name !== 'all') expect(row(y, i), name).toEqual(row(whole, i));
      if (name !== '__base__') expect(apart(row(whole, i), row(base, i)), name).toBeGreaterThan(1e-3);
      expect(mixed()).toEqual(y);
      expect(valuesOf(rt(), lora, ids)).toEqual(whole);
    }
    lora.dispose();
    ids.dispose();
  });

  test('few rows of a large batch take its path through a saved layer: their bits are those of a full run', () => {
    const model = new Sequential(new Linear(rt(), 64, 48), new Linear(rt(), 48, 40));
    const lora = LoraModel.attach(model, { r: 2, targetModules: ['0'], modulesToSave: ['1'] }, 'a');
    lora.eval();
    stirAdapters(rt(), lora);
    const x = rt().normal([200, 64]).keep();
    const adapterNames = Array.from({ length: 200 }, (_, i) => (i % 99 === 5 ? 'a' : '__base__'));
    const y = rt().scope(() =>
      rt().noGrad(() => lora.withAdapterNames(adapterNames, () => lora.forward(x)).toArray()),
    );
    const whole = valuesOf(rt(), lora, x);
    for (const i of [5, 104])
      expect([...y.slice(40 * i, 40 * i + 40)]).toEqual(whole.slice(40 * i, 40 * i + 40));
    lora.dispose();
    x.dispose();
  });

  test('a layer that is off keeps the trained bias of each row, and nothing else', () => {
    const { lora, ids } = attach(rt());
    for (const [, module] of lora.namedModules()) if ('enabled' in module) module.enabled = false;
    const y = rt().scope(() =>
      rt().noGrad(() => lora.withAdapterNames(NAMES, () => lora.forward(ids)).toArray()),
    );
    for (const [i, name] of NAMES.entries()) {
      lora.setAdapter(name === '__base__' ? [] : name);
      const whole = valuesOf(rt(), lora, ids);
      expect(apart(y.slice(3 * i, 3 * i + 3), whole.slice(3 * i, 3 * i + 3)), name).toBeLessThan(1e-5);
    }
    lora.dispose();
    ids.dispose();
  });

  test('a module whose rows may not be parted is refused by name, and everything is as it was', () => {
    class Scale extends Module {
      readonly bias: Parameter;
      constructor(own: Parameter) {
        super();
        this.bias = own;
      }
      override forward(x: Tensor): Tensor {
        return x;
      }
    }
    class Odd extends Module {
      readonly fc = new Linear(rt(), 3, 3);
      readonly scale = new Scale(new Linear(rt(), 3, 3).bias!);
      override forward(x: Tensor): Tensor {
        return this.scale.forward(this.fc.forward(x));
      }
    }
    const lora = LoraModel.attach(new Odd(), { targetModules: ['fc'], modulesToSave: ['scale'] }, 'a');
    lora.addAdapter('b', { targetModules: ['fc'], bias: 'all' });
    const x = rt().normal([2, 3]).keep();
    const before = valuesOf(rt(), lora.eval(), x);
    expect(() => lora.withAdapterNames(['a', '__base__'], () => lora.forward(x))).toThrow(
      "'a' carries saved parameters of 'scale', a Scale, which rows cannot have",
    );
    expect(() => lora.withAdapterNames(['b', '__base__'], () => lora.forward(x))).toThrow(
      "'b' carries a trained bias of 'scale', a Scale",
    );
    expect(valuesOf(rt(), lora, x)).toEqual(before);
    lora.dispose();
    x.dispose();
  });

  test('out of memory anywhere in a mixed batch leaves every module as it was', async () => {
    const { lora, ids } = attach(rt());
    lora.setAdapter('head');
    const mixed = (): number[] =>
      rt().scope(() =>
        rt().noGrad(() => [...lora.withAdapterNames(NAMES, () => lora.forward(ids)).toArray()]),
      );
    const [y, before] = [mixed(), valuesOf(rt(), lora, ids)];
    const state = lora.stateDict();
    const taken = await failEachAllocation(rt(), mixed, () => {
      expect(valuesOf(rt(), lora, ids)).toEqual(before);
      for (const [, module] of lora.namedModules()) expect(Object.hasOwn(module, 'forward')).toBe(false);
    });
    expect(taken).toBeGreaterThan(20);
    expect(lora.stateDict()).toEqual(state);
    expect(mixed()).toEqual(y);
    lora.dispose();
    ids.dispose();
  });
});

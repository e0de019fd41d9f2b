/** Faults of choosing layers and of adapters' state that other packages had. */
import { expect, test } from 'vitest';
import {
  AdamW,
  AdapterError,
  Conv2d,
  Embedding,
  LayerNorm,
  Linear,
  type LoraConfig,
  LoraLinear,
  LoraModel,
  Module,
  mean,
  mseLoss,
  type Runtime,
  Sequential,
  type Tensor,
  tanh,
} from '../../src/index.js';
import { apart, stir, valuesOf } from '../support/layers.js';
import { Tied } from '../support/models.js';
import { describeRuntimes, gradientError } from '../support/runtimes.js';

class Headed extends Module {
  readonly layers: Sequential[];
  readonly norm: LayerNorm;
  readonly lm_head: Linear;

  constructor(rt: Runtime) {
    super();
    this.layers = [0, 1].map(() => new Sequential(new Linear(rt, 6, 6), new Linear(rt, 6, 6)));
    this.norm = new LayerNorm(rt, 6);
    this.lm_head = new Linear(rt, 6, 4);
  }

  override forward(x: Tensor): Tensor {
    return this.lm_head.forward(
      this.norm.forward(this.layers.reduce((value, layer) => layer.forward(value), x)),
    );
  }
}

const CONFIG: LoraConfig = { r: 2, loraAlpha: 4, targetModules: ['0', '1'] };

function train(rt: Runtime, lora: LoraModel, steps = 2): void {
  const optimizer = new AdamW(lora.trainableParameters(), { lr: 0.05 });
  const [x, target] = [rt.normal([5, 6]).keep(), rt.normal([5, 4]).keep()];
  for (let i = 0; i < steps; i++)
    rt.scope(() => {
      optimizer.zeroGrad();
      mseLoss(lora.forward(x), target).backward();
      optimizer.step();
    });
  optimizer.dispose();
}

function stirAll(rt: Runtime, lora: LoraModel, name: string): void {
  for (const [, module] of lora.namedModules())
    if (module instanceof LoraLinear && module.adapters.includes(name)) stir(rt, module, name);
}

describeRuntimes('adapters and their state', (rt) => {
  test('both patterns take effect on one layer', () => {
    const lora = LoraModel.attach(new Headed(rt()), {
      ...CONFIG,
      rankPattern: { '0.0': 4 },
      alphaPattern: { '.*layers.*': 32 },
    });
    const [first] = lora.report().adapters[0]!.layers;
    expect(first).toMatchObject({ path: 'layers.0.0', r: 4, loraAlpha: 32, scaling: 8 });
  });

  test('a key that matches nothing throws; one that is shadowed or left out stands in the report', () => {
    const attach = (rankPattern: Record<string, number>) =>
      LoraModel.attach(new Headed(rt()), { ...CONFIG, excludeModules: ['1.1'], rankPattern });
    expect(() => attach({ q_porj: 4 })).toThrow("key 'q_porj' matches no layer");
    const [adapter] = attach({ '0': 4, 'layers.0.0': 9, 'layers.1.1': 5 }).report().adapters;
    expect(adapter!.unused).toEqual(["rankPattern key 'layers.0.0'", "rankPattern key 'layers.1.1'"]);
    expect(adapter!.excluded).toEqual(['layers.1.1']);
  });

  test('a head without a number is targeted by its name beside a layer filter', () => {
    class Outer extends Module {
      readonly model = new Headed(rt());
      readonly lm_head = new Linear(rt(), 4, 4);
      override forward(x: Tensor): Tensor {
        return this.lm_head.forward(this.model.forward(x));
      }
    }
    const lora = LoraModel.attach(new Outer(), {
      r: 2,
      targetModules: ['0', 'lm_head'],
      layersToTransform: [0],
      layersPattern: 'layers',
    });
    // Named in full, the head at the root is adapted; the inner one is a suffix match, and has no number.
    expect(lora.report().wrapped).toEqual(['model.layers.0.0', 'lm_head']);
  });

  test.each([[undefined], ['x'], [[1]], [[undefined]]])('modulesToSave %j throws', (modulesToSave) => {
    const config = { ...CONFIG, modulesToSave } as unknown as LoraConfig;
    expect(() => LoraModel.attach(new Headed(rt()), config)).toThrow(/modulesToSave/);
  });

  test('modulesToSave as a long text is cut in the message', () => {
    const config = { ...CONFIG, modulesToSave: 'x'.repeat(100_000) } as unknown as LoraConfig;
    expect(() => LoraModel.attach(new Headed(rt()), config)).toThrow(/^.{0,400}expected an array of names$/);
  });

  test('a misspelt option throws; null means none', () => {
    expect(() =>
      LoraModel.attach(new Headed(rt()), { ...CONFIG, moduleToSave: ['x'] } as LoraConfig),
    ).toThrow("unknown option 'moduleToSave'");
    expect(
      LoraModel.attach(new Headed(rt()), { ...CONFIG, modulesToSave: null }).report().adapters[0]!.saved,
    ).toEqual([]);
  });

  test('a deleted adapter is not active, and forward works', () => {
    const lora = LoraModel.attach(new Headed(rt()), CONFIG, 'a').eval() as LoraModel;
    const x = rt().normal([3, 6]).keep();
    const base = lora.withAdaptersDisabled(() => valuesOf(rt(), lora, x));
    stirAll(rt(), lora, 'a');
    lora.addAdapter('b', CONFIG);
    lora.deleteAdapter('a');
    expect(lora.activeAdapters).toEqual([]);
    expect(valuesOf(rt(), lora, x)).toEqual(base);
  });

  test('deleted adapters give their memory back, saved modules and biases with it', () => {
    const lora = LoraModel.attach(new Headed(rt()), CONFIG, 'first');
    const config: LoraConfig = { ...CONFIG, bias: 'all', modulesToSave: ['lm_head'] };
    let held = 0;
    let bytes = 0;
    for (let i = 0; i < 200; i++) {
      lora.addAdapter('next', config);
      lora.setAdapter('next');
      lora.deleteAdapter('next');
      if (i === 10) ({ held, bytes } = rt().memory());
    }
    expect(rt().memory()).toMatchObject({ held, bytes });
  });

  test('loading and activating change nothing of what trains', async () => {
    const lora = LoraModel.attach(new Headed(rt()), CONFIG, 'a');
    lora.addAdapter('source', CONFIG);
    stirAll(rt(), lora, 'source');
    await lora.loadAdapter('b', lora.exportAdapter('source'));
    lora.deleteAdapter('source');
    const before = [lora.exportAdapter('a'), lora.exportAdapter('b')];
    lora.setAdapter(['b', 'a']);
    train(rt(), lora);
    expect(lora.exportAdapter('b')).toEqual(before[1]);
    expect(lora.exportAdapter('a')).not.toEqual(before[0]);
  });

  test.each([{ modulesToSave: ['lm_head'] }, { bias: 'all' as const }, { bias: 'lora_only' as const }])(
    'disabling brings back the base with its head and biases: %j',
    (more) => {
      const model = new Headed(rt());
      const x = rt().normal([3, 6]).keep();
      const base = valuesOf(rt(), model, x);
      const lora = LoraModel.attach(model, { ...CONFIG, ...more });
      train(rt(), lora);
      lora.eval();
      const on = valuesOf(rt(), lora, x);
      expect(apart(on, base)).toBeGreaterThan(1e-3);
      expect(lora.withAdaptersDisabled(() => valuesOf(rt(), lora, x))).toEqual(base);
      const fail = (): never => {
        throw new Error('mine');
      };
      expect(() => lora.withAdaptersDisabled(fail)).toThrow('mine');
      expect(valuesOf(rt(), lora, x)).toEqual(on);
      lora.merge();
      expect(apart(valuesOf(rt(), lora, x), on)).toBeLessThan(1e-4);
      expect(lora.withAdaptersDisabled(() => valuesOf(rt(), lora, x))).toEqual(base);
      lora.unmerge();
      lora.addAdapter('other', { ...CONFIG, ...more });
      expect(() => lora.setAdapter(['default', 'other'])).toThrow("'default' and 'other' both carry");
      lora.setAdapter('other');
      expect(valuesOf(rt(), lora, x)).toEqual(base);
      lora.setAdapter('default');
      expect(valuesOf(rt(), lora, x)).toEqual(on);
      const plain = lora.mergeAndUnload();
      expect(apart(valuesOf(rt(), plain, x), on)).toBeLessThan(1e-4);
    },
  );

  test('adapterNames: unknown names, wrong lengths, training and merging are refused; rows are bit-equal to full runs', () => {
    const lora = LoraModel.attach(new Headed(rt()), CONFIG, 'a');
    lora.addAdapter('b', { ...CONFIG, r: 3, targetModules: ['0', 'lm_head'] });
    lora.addAdapter('dora', { ...CONFIG, useDora: true });
    for (const name of lora.adapters) stirAll(rt(), lora, name);
    const x = rt().normal([5, 6]).keep();
    const names = ['a', '__base__', 'b', 'dora', 'b'];
    const mixed = (adapterNames: unknown): number[] =>
      rt().scope(() =>
        rt().noGrad(() => [
          ...lora.withAdapterNames(adapterNames as string[], () => lora.forward(x)).toArray(),
        ]),
      );
    expect(() => mixed(names)).toThrow('in training mode');
    lora.eval();
    expect(() => mixed(['a', 'typo', 'a', 'a', 'a'])).toThrow(
      "there is no adapter 'typo', expected one of a, b, dora",
    );
    expect(() => mixed(['a'])).toThrow('adapterNames has 1 names, expected one for each row of [5, 6]');
    const y = mixed(names);
    for (const [i, name] of names.entries()) {
      lora.setAdapter(name === '__base__' ? [] : name);
      expect(y.slice(4 * i, 4 * i + 4)).toEqual(valuesOf(rt(), lora, x).slice(4 * i, 4 * i + 4));
    }
    lora.setAdapter('a');
    lora.merge();
    expect(() => mixed(names)).toThrow("while adapter 'a' is merged");
  });

  test('rows of embeddings, convolutions and every shape of adapter are bit-equal to full runs', () => {
    class Images extends Module {
      readonly wte = new Embedding(rt(), 9, 6);
      readonly conv = new Conv2d(rt(), 2, 4, 3, { padding: 1, groups: 2 });
      readonly fc = new Linear(rt(), 4, 5, { fanInFanOut: true });
      override forward(ids: Tensor): Tensor {
        return this.fc.forward(mean(tanh(this.conv.forward(this.wte.forward(ids))), [2, 3]));
      }
    }
    const targetModules = ['wte', 'conv', 'fc'];
    const configs: Record<string, LoraConfig> = {
      plain: { r: 4, targetModules },
      dora: { r: 2, targetModules, useDora: true },
      pissa: { r: 2, targetModules: ['fc'], initLoraWeights: 'pissa' },
      slices: { r: 2, targetModules: ['fc'], fusedSlices: { fc: { sizes: [2, 3], adapted: [false, true] } } },
      biased: { r: 2, targetModules: ['conv', 'fc'], loraBias: true },
    };
    const lora = LoraModel.attach(new Images()).eval() as LoraModel<Images>;
    for (const [name, config] of Object.entries(configs)) {
      lora.addAdapter(name, config);
      const named = lora.namedParameters().filter(([key]) => key.split('.').includes(name));
      for (const [, parameter] of named) {
        const drawn = rt().normal(parameter.shape, 0.4);
        parameter.set(drawn);
        drawn.dispose();
      }
    }
    const names = ['dora', 'plain', '__base__', 'pissa', 'slices', 'biased', 'plain', '__base__'];
    const ids = rt().tensor(
      Int32Array.from({ length: 8 * 2 * 4 }, (_, i) => (i * 5) % 9),
      [8, 2, 4],
    );
    const y = rt().scope(() =>
      rt().noGrad(() => [...lora.withAdapterNames(names, () => lora.forward(ids)).toArray()]),
    );
    for (const [i, name] of names.entries()) {
      lora.setAdapter(name === '__base__' ? [] : name);
      expect(y.slice(5 * i, 5 * i + 5), name).toEqual(valuesOf(rt(), lora, ids).slice(5 * i, 5 * i + 5));
    }
  });

  test.each([false, true])(
    'fused slices, fanInFanOut %s: gradients against differences, with dropout',
    (fanInFanOut) => {
      const base = new Linear(rt(), 8, 9, { fanInFanOut });
      const slices = { sizes: [4, 2, 3], adapted: [true, false, true] };
      const layer = LoraLinear.from(base, { r: 2, loraDropout: 0.3, slices });
      stir(rt(), layer);
      const x = rt().normal([5, 8]).keep();
      x.requiresGrad = true;
      const target = rt().normal([5, 9]).keep();
      for (const leaf of [layer.factors('default').A, layer.factors('default').B, x]) {
        const { error, largest } = gradientError(
          rt(),
          leaf,
          () => {
            layer.masks.step = 0;
            return mseLoss(layer.forward(x), target, { reduction: 'sum' });
          },
          2e-2,
        );
        expect(largest).toBeGreaterThan(0.01);
        expect(error).toBeLessThan(0.02 * largest + 1e-4);
      }
    },
  );

  test('one adapter trains while another is merged', () => {
    const lora = LoraModel.attach(new Headed(rt()), CONFIG, 'a');
    stirAll(rt(), lora, 'a');
    lora.addAdapter('b', CONFIG);
    lora.setAdapter(['a', 'b']);
    lora.setTrainable('b');
    lora.merge(['a']);
    const [a, b] = [lora.exportAdapter('a'), lora.exportAdapter('b')];
    train(rt(), lora);
    expect(lora.exportAdapter('a')).toEqual(a);
    expect(lora.exportAdapter('b')).not.toEqual(b);
  });

  test('a tied weight: merging changes the adapted layer alone, and says so', () => {
    const lora = LoraModel.attach(new Tied(rt()), { r: 2, targetModules: ['head'] });
    stirAll(rt(), lora, 'default');
    lora.eval();
    expect(lora.report().tied).toEqual([['embedding.weight', 'head.weight']]);
    expect(lora.report().toString()).toContain('tied: embedding.weight = head.weight');
    const ids = rt().tensor(Int32Array.of(0, 3, 7));
    const lookups = valuesOf(rt(), lora.model.embedding, ids);
    const on = valuesOf(rt(), lora, ids);
    lora.merge();
    expect(valuesOf(rt(), lora.model.embedding, ids)).toEqual(lookups);
    expect(apart(valuesOf(rt(), lora, ids), on)).toBeLessThan(1e-5);
    lora.unmerge();
    expect(valuesOf(rt(), lora, ids)).toEqual(on);
    const plain = lora.mergeAndUnload();
    expect(plain.head.weight).not.toBe(plain.embedding.weight);
    expect(valuesOf(rt(), plain.embedding, ids)).toEqual(lookups);
    expect(apart(valuesOf(rt(), plain, ids), on)).toBeLessThan(1e-5);
  });

  test('a layer that stands in two places is adapted, and given back, in both', () => {
    const shared = new Linear(rt(), 6, 6);
    const model = new Sequential(shared, new Linear(rt(), 6, 6), shared);
    const x = rt().normal([3, 6]).keep();
    const base = valuesOf(rt(), model, x);
    const lora = LoraModel.attach(model, { r: 2, targetModules: ['0'] });
    expect(model.layers[0]).toBe(model.layers[2]);
    expect(model.layers[0]).toBeInstanceOf(LoraLinear);
    stirAll(rt(), lora, 'default');
    expect(apart(valuesOf(rt(), lora.eval(), x), base)).toBeGreaterThan(1e-3);
    expect(valuesOf(rt(), lora.unload(), x)).toEqual(base);
    expect(model.layers[2]).toBe(shared);
  });

  test('merging any subset: the forward is the base with every active adapter, however many are merged', () => {
    const lora = LoraModel.attach(new Headed(rt()), CONFIG, 'a');
    lora.addAdapter('b', { ...CONFIG, r: 3 });
    lora.addAdapter('c', CONFIG);
    for (const name of lora.adapters) stirAll(rt(), lora, name);
    lora.eval().setMode(false);
    lora.setAdapter(['a', 'b', 'c']);
    const bytes = lora.stateDict();
    const x = rt().normal([3, 6]).keep();
    const on = valuesOf(rt(), lora, x);
    const close = (): void => expect(apart(valuesOf(rt(), lora, x), on)).toBeLessThan(1e-4);
    lora.merge(['b']);
    close();
    expect(() => lora.setScale('b', 2)).toThrow("adapter 'b' is merged");
    expect(() => lora.merge(['b'])).toThrow('merged already');
    lora.merge();
    close();
    expect(lora.mergedAdapters.sort()).toEqual(['a', 'b', 'c']);
    lora.unmerge(['a']);
    close();
    expect(() => lora.setAdapter(['a', 'c'])).toThrow("adapter 'b' is merged and would become inactive");
    lora.unmerge();
    expect(valuesOf(rt(), lora, x)).toEqual(on);
    for (const [name, { data }] of lora.stateDict()) expect(data).toEqual(bytes.get(name)!.data);
  });

  test('DoRA is active alone; a scale is kept for each adapter; PiSSA leaves the output and the base bytes', () => {
    const model = new Headed(rt());
    const x = rt().normal([3, 6]).keep();
    const base = valuesOf(rt(), model, x);
    const lora = LoraModel.attach(model, CONFIG, 'a').eval() as LoraModel<Headed>;
    stirAll(rt(), lora, 'a');
    const on = valuesOf(rt(), lora, x);
    lora.addAdapter('d', { ...CONFIG, useDora: true });
    expect(() => lora.setAdapter(['a', 'd'])).toThrow("'d' and 'a': 'd' is DoRA, expected DoRA active alone");
    lora.setScale('a', 3);
    lora.setAdapter('d');
    lora.setAdapter('a');
    expect(lora.report().adapters[0]!.layers[0]!.strength).toBe(6);
    lora.setScale('a', 1);
    expect(valuesOf(rt(), lora, x)).toEqual(on);
    for (const initLoraWeights of ['pissa', 'pissa_niter_4', 'olora', 'orthogonal'] as const) {
      lora.addAdapter('p', { ...CONFIG, initLoraWeights });
      lora.setAdapter('p');
      // PiSSA and OLoRA only move parts of the base into A and B; orthogonal factors have a product of nearly zero.
      expect(apart(valuesOf(rt(), lora, x), base)).toBeLessThan(1e-4);
      expect(lora.withAdaptersDisabled(() => valuesOf(rt(), lora, x))).toEqual(base);
      const before = lora.report().adapters.at(-1)!.base;
      expect(before).toBe(initLoraWeights === 'orthogonal' ? 'original' : 'changed');
      lora.setAdapter('a');
      expect(valuesOf(rt(), lora, x)).toEqual(on);
      lora.deleteAdapter('p');
    }
    expect(() => lora.setAdapter('p')).toThrow(AdapterError);
  });
});

/** Adapters beside each other: deleted, loaded, disabled, merged in any subset; faults of their state that other packages had. */
import { expect, test } from 'vitest';
import { AdamW, AdapterError, type LoraConfig, LoraModel, mseLoss, type Runtime } from '../../src/index.js';
import { apart, stirAll, valuesOf } from '../support/layers.js';
import { Headed } from '../support/models.js';
import { describeRuntimes } from '../support/runtimes.js';

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

describeRuntimes('adapters and their state', (rt) => {
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

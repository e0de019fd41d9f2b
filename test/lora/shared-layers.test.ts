/** A weight that two layers share, and a layer that stands in two places. */
import { expect, test } from 'vitest';
import { Linear, LoraLinear, LoraModel, Sequential } from '../../src/index.js';
import { apart, stirAll, valuesOf } from '../support/layers.js';
import { Tied } from '../support/models.js';
import { describeRuntimes } from '../support/runtimes.js';

describeRuntimes('adapters and their state', (rt) => {
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
});

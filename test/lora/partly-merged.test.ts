/** Adapters merged by hand in some layers only, layers that are off, scales of 0: what is merged is asked layer by layer. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type LoraConfig, LoraModel, type Runtime } from '../../src/index.js';
import { apart, largestOf, valuesOf } from '../support/layers.js';
import { idsFor, loraLayers, MIXED_LAYERS, MixedModel, stirAdapters } from '../support/mixed-model.js';
import { describeRuntimes } from '../support/runtimes.js';

const ALL: LoraConfig = { r: 2, loraAlpha: 3, targetModules: [...MIXED_LAYERS] };
const LINEAR: LoraConfig = { r: 2, loraAlpha: 3, targetModules: ['fc1', 'fc2'] };
const KINDS: readonly (readonly LoraConfig[])[] = [
  [ALL],
  [ALL, { ...ALL, r: 4, targetModules: ['fc1', 'conv'] }],
  [{ ...ALL, useDora: true }],
  [{ ...LINEAR, initLoraWeights: 'pissa' }, ALL],
  [{ ...ALL, bias: 'all', targetModules: ['fc1', 'fc2', 'conv'], loraBias: true }],
];

function attach(rt: Runtime, configs: readonly LoraConfig[]): LoraModel<MixedModel> {
  const lora = LoraModel.attach(new MixedModel(rt));
  for (const [i, config] of configs.entries()) lora.addAdapter(`a${i}`, config);
  stirAdapters(rt, lora);
  lora.setAdapter(configs.map((_, i) => `a${i}`));
  return lora.eval() as LoraModel<MixedModel>;
}

describeRuntimes('partly merged models', (rt) => {
  test('merged for good, the model computes what it computed, whatever was merged by hand, off or scaled to 0', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...KINDS),
        fc.array(fc.constantFrom('leave', 'merge', 'off', 'merge, off', 'off, merge'), {
          minLength: 5,
          maxLength: 5,
        }),
        fc.boolean(),
        fc.boolean(),
        (configs, states, silent, unmergeFirst) => {
          const lora = attach(rt(), configs);
          const x = idsFor(rt());
          if (silent) lora.setScale('a0', 0);
          const layers = loraLayers(lora);
          for (const [i, layer] of layers.entries()) {
            for (const state of states[i]!.split(', ')) {
              if (state === 'off') layer.enabled = false;
              if (state === 'merge') layer.merge();
              if (state === 'merge' && unmergeFirst && layer.mergedAdapters.length > 1) layer.unmerge(['a1']);
            }
          }
          const before = valuesOf(rt(), lora, x);
          const after = valuesOf(rt(), lora.mergeAndUnload(), x);
          expect(largestOf(before)).toBeGreaterThan(0);
          expect(apart(after, before)).toBeLessThan(1e-5 * Math.max(1, largestOf(before)));
          lora.dispose();
          x.dispose();
        },
      ),
      { seed: 13, numRuns: 40 },
    );
  });

  test('merging goes on where one layer was merged by hand; unmerging and verifying leave the rest as it was', () => {
    const lora = attach(rt(), [ALL, { ...ALL, targetModules: ['fc1'] }]);
    const x = idsFor(rt());
    const [, , fc1] = loraLayers(lora);
    const on = valuesOf(rt(), lora, x);
    const bytes = lora.stateDict();
    fc1!.merge(['a0']);
    expect(lora.mergedAdapters).toEqual(['a0']);
    const partly = lora.stateDict();
    expect(lora.verifyMerge(x)).toBeLessThan(1e-4);
    for (const [name, { data }] of lora.stateDict()) expect(data).toEqual(partly.get(name)!.data);
    expect(fc1!.mergedAdapters).toEqual(['a0']);
    expect(lora.report().toString()).toContain('a0: active, trainable, merged in 1 of 5 layers');
    lora.merge();
    expect(loraLayers(lora).map(({ mergedAdapters }) => mergedAdapters)).toEqual([
      ...[['a0'], ['a0']],
      ...[['a0', 'a1'], ['a0'], ['a0']],
    ]);
    expect(lora.report().toString()).toContain('a0: active, trainable, merged,');
    expect(apart(valuesOf(rt(), lora, x), on)).toBeLessThan(1e-4);
    expect(() => lora.merge()).toThrow('a0, a1 are merged already');
    lora.unmerge();
    expect(valuesOf(rt(), lora, x)).toEqual(on);
    for (const [name, { data }] of lora.stateDict()) expect(data).toEqual(bytes.get(name)!.data);
    lora.dispose();
    x.dispose();
  });

  test('a layer that is off is not merged, and takes part again once it is on', () => {
    const lora = attach(rt(), [ALL]);
    const x = idsFor(rt());
    const on = valuesOf(rt(), lora, x);
    const layers = loraLayers(lora);
    layers[3]!.enabled = false;
    const off = valuesOf(rt(), lora, x);
    expect(lora.verifyMerge(x)).toBeLessThan(1e-4);
    lora.merge(['a0']);
    expect(layers.map(({ merged }) => merged)).toEqual([true, true, true, false, true]);
    expect(apart(valuesOf(rt(), lora, x), off)).toBeLessThan(1e-4);
    layers[3]!.enabled = true;
    expect(apart(valuesOf(rt(), lora, x), on)).toBeLessThan(1e-4);
    for (const layer of layers) layer.enabled = false;
    lora.unmerge();
    expect(() => lora.merge()).toThrow('no layer of a0 is enabled');
    expect(() => lora.merge(['a0'])).toThrow("adapter 'a0' has no layer that is enabled");
    expect(apart(valuesOf(rt(), lora.mergeAndUnload(), x), on)).toBeGreaterThan(1e-3);
    x.dispose();
  });

  test('a tied weight merged by hand in one layer is left alone for the other', () => {
    const lora = attach(rt(), [{ ...ALL, targetModules: ['head'] }]);
    const table = lora.model.table.weight.toArray();
    loraLayers(lora)[0]!.merge();
    expect(lora.model.table.weight.toArray()).toEqual(table);
    lora.dispose();
  });

  test('an adapter whose base others are merged into stays until they are taken out', () => {
    const lora = attach(rt(), [{ ...LINEAR, initLoraWeights: 'pissa' }, LINEAR]);
    const x = idsFor(rt());
    lora.merge(['a1']);
    const merged = valuesOf(rt(), lora, x);
    expect(() => lora.deleteAdapter('a0')).toThrow("which cannot change places while 'a1' is merged");
    expect(valuesOf(rt(), lora, x)).toEqual(merged);
    lora.unmerge();
    lora.deleteAdapter('a0');
    lora.dispose();
    x.dispose();
  });

  test('DoRA is merged alone, an adapter with a base of its own while it is active', () => {
    const lora = attach(rt(), [ALL]);
    lora.addAdapter('dora', { ...ALL, useDora: true });
    lora.addAdapter('pissa', { ...LINEAR, initLoraWeights: 'pissa' });
    const layer = loraLayers(lora)[2]!;
    expect(() => layer.merge(['dora'])).toThrow("'a0' beside 'dora', which is DoRA");
    expect(() => layer.merge(['pissa'])).toThrow("'pissa' has a base of its own and is not active");
    layer.merge();
    expect(() => lora.setAdapter(['a0', 'dora'])).toThrow('DoRA active alone');
    expect(layer.mergedAdapters).toEqual(['a0']);
    lora.dispose();
  });

  test('what is exported is the adapter, not what is merged into its own biases', () => {
    const lora = attach(rt(), [{ ...LINEAR, bias: 'all', loraBias: true }]);
    const files = lora.exportAdapter('a0');
    lora.merge();
    expect(lora.exportAdapter('a0')).toEqual(files);
    expect(lora.merged).toBe(true);
    lora.dispose();
  });
});

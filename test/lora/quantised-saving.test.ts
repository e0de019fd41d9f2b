/**
 * Saved modules and files over a quantised base: float32 copies that move back as asked, base weights compared by their
 * values.
 */
import { expect, test } from 'vitest';
import { quantise } from '../../src/formats/index.js';
import { Embedding, Linear, LoraModel, type MergedWeight, Sequential } from '../../src/index.js';
import { changedFiles } from '../support/adapter-files.js';
import { expandedValues, quantised } from '../support/blocks.js';
import { valuesOf } from '../support/layers.js';
import { expectSame } from '../support/numbers.js';
import { attached, BASE_KINDS, basePair } from '../support/quantised-layers.js';
import { describeRuntimes } from '../support/runtimes.js';

describeRuntimes('adapters over a quantised base', (rt) => {
  test('a saved module is trained as a float32 copy, and moves back as asked', () => {
    for (const how of ['dequantise', 'requantise'] as const) {
      const weight = quantised(rt(), 'q4_0', [3, 32]);
      const head = new Linear(rt(), 32, 3, { weight, bias: false });
      const model = new Sequential(new Linear(rt(), 32, 32, { bias: false }), head);
      const x = rt().normal([4, 32]).keep();
      const [plain, bytes] = [valuesOf(rt(), model, x), weight.bytes()];
      const lora = LoraModel.attach(model, { r: 2, targetModules: ['0'], modulesToSave: ['1'] });
      const copy = head.weight;
      expect([copy === weight, copy.dtype, copy.requiresGrad]).toEqual([false, 'f32', true]);
      expect(copy.toArray()).toEqual(expandedValues(weight));
      expect(lora.withAdaptersDisabled(() => valuesOf(rt(), lora, x))).toEqual(plain);
      const values = copy.toArray().map((value) => value + 0.123) as Float32Array;
      copy.set(values);
      expect(() => lora.mergeAndUnload()).toThrow('LoraModel.mergeAndUnload: 1.weight: the weight is q4_0');
      expect([head.weight, weight.bytes()]).toEqual([copy, bytes]);
      const seen: MergedWeight[] = [];
      lora.mergeAndUnload({ quantised: how, onMerged: (weights) => void seen.push(...weights) });
      expect(seen.map(({ path, dtype }) => [path, dtype])).toEqual([
        ['1.weight', how === 'dequantise' ? 'f32' : 'q4_0'],
      ]);
      if (how === 'dequantise') {
        expect([head.weight.dtype, head.weight.requiresGrad, weight.disposed]).toEqual(['f32', false, true]);
        expect(head.weight.toArray()).toEqual(values);
      } else expect([head.weight, weight.bytes()]).toEqual([weight, quantise('q4_0', values)]);
    }
  });

  test('a saved head that is tied to a table gets a weight of its own for good, and the table stays as it is', () => {
    for (const dtype of ['f32', 'q8_0'] as const)
      for (const how of ['dequantise', 'requantise'] as const) {
        const blocks = quantised(rt(), 'q8_0', [9, 32]);
        const weight = dtype === 'f32' ? rt().parameter(blocks.toArray(), [9, 32]) : blocks;
        const table = new Embedding(rt(), 9, 32, { weight });
        const head = new Linear(rt(), 32, 9, { weight, bias: false });
        const model = new Sequential(table, new Linear(rt(), 32, 32), head);
        const lora = LoraModel.attach(model, { r: 2, targetModules: ['1'], modulesToSave: ['2'] });
        head.weight.set(head.weight.toArray().map((value) => value * 1.5));
        const ids = rt()
          .tensor(Int32Array.of(0, 8, 3), [3])
          .keep();
        const [bytes, wanted] = [weight.bytes(), valuesOf(rt(), lora, ids)];
        lora.mergeAndUnload({ quantised: how });
        expect([table.weight, head.weight === weight, head.weight.dtype]).toEqual([
          weight,
          false,
          how === 'requantise' ? dtype : 'f32',
        ]);
        expectSame(weight.bytes(), bytes);
        if (head.weight.dtype === 'f32') expectSame(valuesOf(rt(), model, ids), wanted);
        expect(head.weight.requiresGrad).toBe(dtype === 'f32');
        model.dispose();
      }
  });

  test('a base weight in a file is compared by its values', async () => {
    const [base] = basePair(rt(), 'q5_1', BASE_KINDS[0]!);
    const lora = attached(base);
    const carry = (change: number) => {
      const data = expandedValues(base.weight);
      data[3]! += change;
      return changedFiles(lora.exportAdapter(), (tensors) =>
        tensors.set('base_model.model.0.base_layer.weight', { shape: [35, 32], data }),
      );
    };
    await lora.loadAdapter('same', carry(0));
    expect(lora.adapters).toContain('same');
    await expect(lora.loadAdapter('other', carry(1))).rejects.toThrow("has other values than the base's");
    const state = lora.stateDict();
    expect(state.get('0.weight')!.dtype).toBe('Q5_1');
    const bytes = base.weight.bytes();
    lora.loadStateDict(state);
    lora.unload();
    expect(base.weight.bytes()).toEqual(bytes);
  });
});

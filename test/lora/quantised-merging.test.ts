/** Merges into a quantised base: refused unless asked for, dequantised or requantised as asked, and what is left of a delta. */
import { expect, test } from 'vitest';
import { quantise } from '../../src/formats/index.js';
import {
  AdapterError,
  Conv2d,
  Embedding,
  Linear,
  LoraConv2d,
  type LoraLinear,
  LoraModel,
  type MergedWeight,
  type MergeOptions,
  Sequential,
} from '../../src/index.js';
import { expandedValues, QUANTISED, quantised } from '../support/blocks.js';
import { stir, valuesOf } from '../support/layers.js';
import { expectSame } from '../support/numbers.js';
import { adaptedTwins, attached, BASE_KINDS, basePair, layerOf } from '../support/quantised-layers.js';
import { describeRuntimes } from '../support/runtimes.js';

const SMALL = ['q8_0', 'q4_0'] as const;

/** ⟨W' - W, Δ⟩ / ⟨Δ, Δ⟩. */
function share(before: Float32Array, wanted: Float32Array, got: ArrayLike<number>): number {
  let [kept, whole] = [0, 0];
  for (const [i, w] of before.entries()) {
    kept += (got[i]! - w) * (wanted[i]! - w);
    whole += (wanted[i]! - w) ** 2;
  }
  return kept / whole;
}

describeRuntimes('adapters over a quantised base', (rt) => {
  test.each(QUANTISED)('%s: a merge is refused unless asked for, and nothing is merged then', (dtype) => {
    const [base] = basePair(rt(), dtype, BASE_KINDS[0]!);
    const lora = attached(base);
    stir(rt(), layerOf(lora));
    const bytes = base.weight.bytes();
    const { held } = rt().memory();
    for (const merge of [
      () => lora.merge(),
      () => lora.mergeAndUnload(),
      () => layerOf(lora).merge(undefined, { safe: true }),
    ])
      expect(merge).toThrow(AdapterError);
    expect(() => lora.merge()).toThrow(
      `LoraModel.merge: 0: the weight is ${dtype}, expected quantised: 'dequantise' for a merged weight in float32, or 'requantise'`,
    );
    expect(() => lora.merge(undefined, { quantised: 'f32' as 'dequantise' })).toThrow(
      new TypeError("LoraModel.merge: quantised is 'f32', expected 'dequantise' or 'requantise'"),
    );
    if (dtype !== 'q8_0' && dtype !== 'q4_0')
      expect(() => lora.merge(undefined, { quantised: 'requantise' })).toThrow(
        `LoraModel.merge: 0: the weight is ${dtype}, to which nothing is quantised here, expected q8_0 or q4_0`,
      );
    expect([lora.merged, rt().memory().held]).toEqual([false, held]);
    expectSame(base.weight.bytes(), bytes);
  });

  test.each(QUANTISED)(
    '%s: dequantised, the merged weight is the one of float32, and the blocks come back',
    (dtype) => {
      const [base, plain] = basePair(rt(), dtype, BASE_KINDS[0]!);
      const [own, other] = [attached(base), attached(plain)];
      stir(rt(), layerOf(own));
      for (const part of ['A', 'B'] as const)
        layerOf(other).factors('default')[part].set(layerOf(own).factors('default')[part]);
      const x = rt().normal([3, base.inFeatures]).keep();
      const [before, bytes, { held }] = [valuesOf(rt(), own, x), base.weight.bytes(), rt().memory()];
      expect(own.verifyMerge(x)).toBe(other.verifyMerge(x));
      const seen: MergedWeight[] = [];
      own.merge(undefined, { quantised: 'dequantise', onMerged: (weights) => void seen.push(...weights) });
      other.merge();
      expect(seen).toEqual([{ path: '0', dtype: 'f32', survived: 1 }]);
      expectSame(layerOf(own).weight.toArray(), plain.weight.toArray());
      expect(valuesOf(rt(), own, x)).toEqual(valuesOf(rt(), other, x));
      expectSame(
        own.withAdaptersDisabled(() => base.weight.bytes()),
        bytes,
      );
      own.unmerge();
      expect([valuesOf(rt(), own, x), base.weight.bytes(), rt().memory().held]).toEqual([
        before,
        bytes,
        held,
      ]);
      // For good the layer has a float32 weight, and the blocks' memory is given back.
      own.mergeAndUnload({ quantised: 'dequantise' });
      expect([base.weight.dtype, base.weight.requiresGrad]).toEqual(['f32', false]);
      expectSame(base.weight.toArray(), plain.weight.toArray());
      base.dispose();
      expect(rt().memory().held).toBeLessThan(held - bytes.length);
    },
  );

  test.each(SMALL)(
    '%s: requantised, the merged blocks are those nearest to the sum, and the report says what is left',
    (dtype) => {
      const [base, plain] = basePair(rt(), dtype, BASE_KINDS[0]!);
      const before = plain.weight.toArray() as Float32Array;
      const [own, other] = [attached(base), attached(plain)];
      for (const name of ['default', 'b']) {
        if (name === 'b')
          for (const lora of [own, other]) lora.addAdapter('b', { r: 1, targetModules: ['0'] });
        stir(rt(), layerOf(own), name);
        for (const part of ['A', 'B'] as const)
          layerOf(other).factors(name)[part].set(layerOf(own).factors(name)[part]);
      }
      const bytes = base.weight.bytes();
      const check = (): void => {
        const sum = plain.weight.toArray() as Float32Array;
        expect(base.weight.bytes()).toEqual(quantise(dtype, sum));
        const [layer] = own.report().adapters.find(({ merged }) => merged)!.layers;
        expect(layer!.survived).toBeCloseTo(share(before, sum, base.weight.toArray()), 12);
        expect(own.report().toString()).toContain(' % of the delta survived');
      };
      for (const lora of [own, other]) lora.setAdapter(['default', 'b']);
      own.merge(['default'], { quantised: 'requantise' });
      other.merge(['default']);
      check();
      expect(() => own.merge(['b'], { quantised: 'dequantise' })).toThrow(
        "LoraModel.merge: 0: quantised is 'dequantise' where default are merged with 'requantise', expected the same",
      );
      for (const lora of [own, other]) lora.merge(['b']);
      check();
      for (const lora of [own, other]) lora.unmerge(['default']);
      check();
      own.unmerge();
      expect(base.weight.bytes()).toEqual(bytes);
      expect(own.report().adapters[0]!.layers[0]!.survived).toBeNull();
      other.unmerge();
      const seen: MergedWeight[] = [];
      own.mergeAndUnload({ quantised: 'requantise', onMerged: (weights) => void seen.push(...weights) });
      other.mergeAndUnload();
      const sum = plain.weight.toArray() as Float32Array;
      expect(base.weight.bytes()).toEqual(quantise(dtype, sum));
      expect(seen).toEqual([
        { path: '0', dtype, survived: expect.closeTo(share(before, sum, base.weight.toArray()), 12) },
      ]);
    },
  );

  test.each(BASE_KINDS)(
    '$name merges as float32 over its values does, then rounds where that was asked for',
    (kind) => {
      for (const options of [{ r: 2 }, { r: 3, useDora: true }])
        for (const how of ['dequantise', 'requantise'] as const) {
          const [own, other] = adaptedTwins(rt(), 'q8_0', kind, options);
          const bytes = own.base.weight.bytes();
          own.merge(undefined, { quantised: how, safe: true });
          other.merge();
          const sum = other.weight.toArray() as Float32Array;
          if (how === 'dequantise') expect([own.weight.dtype, own.weight.toArray()]).toEqual(['f32', sum]);
          else expect([own.weight.dtype, own.weight.bytes()]).toEqual(['q8_0', quantise('q8_0', sum)]);
          own.unmerge();
          expect([own.weight, own.weight.bytes()]).toEqual([own.base.weight, bytes]);
          for (const held of [own, other]) held.dispose();
        }
    },
  );

  test('a grouped convolution sees every channel once it is merged, in the type that was asked for', () => {
    for (const how of ['dequantise', 'requantise'] as const) {
      const weight = quantised(rt(), 'q8_0', [4, 1, 1, 32]);
      const plain = rt().parameter(expandedValues(weight), weight.shape);
      const [own, other] = [weight, plain].map((one) =>
        LoraConv2d.from(new Conv2d(rt(), 2, 4, [1, 32], { groups: 2, bias: false, weight: one }), { r: 2 }),
      ) as [LoraConv2d, LoraConv2d];
      stir(rt(), own);
      for (const part of ['A', 'B'] as const)
        other.factors('default')[part].set(own.factors('default')[part]);
      const x = rt().normal([2, 2, 3, 40]).keep();
      expect(valuesOf(rt(), own, x)).toEqual(valuesOf(rt(), other, x));
      const bytes = weight.bytes();
      own.merge(undefined, { quantised: how });
      other.merge();
      const sum = other.weight.toArray() as Float32Array;
      expect(own.weight.shape).toEqual([4, 2, 1, 32]);
      if (how === 'dequantise') expect(own.weight.toArray()).toEqual(sum);
      else expect(own.weight.bytes()).toEqual(quantise('q8_0', sum));
      own.unmerge();
      expect(weight.bytes()).toEqual(bytes);
    }
  });

  test('what is told of a merge may refuse it, and so may values that blocks cannot hold', () => {
    const [base] = basePair(rt(), 'q8_0', BASE_KINDS[0]!);
    const lora = attached(base);
    stir(rt(), layerOf(lora));
    const state = (): unknown[] => [lora.merged, base.weight.bytes(), base.weight.dtype, rt().memory().held];
    const before = state();
    const refuse = (weights: readonly MergedWeight[]): void => {
      throw new Error(`too little: ${weights.length}`);
    };
    for (const merge of [
      (options: MergeOptions) => lora.merge(undefined, options),
      (options: MergeOptions) => lora.mergeAndUnload(options),
      (options: MergeOptions) => layerOf(lora).merge(undefined, options),
    ])
      for (const how of ['dequantise', 'requantise'] as const) {
        expect(() => merge({ quantised: how, onMerged: refuse })).toThrow('too little: 1');
        expect(state()).toEqual(before);
      }
    const { A } = layerOf(lora).factors('default');
    A.set(A.toArray().map(() => 1e30));
    expect(() => lora.merge(undefined, { quantised: 'requantise' })).toThrow(
      /LoraModel\.merge: 0: the merged weight does not go into q8_0: quantise: value \d+ is/,
    );
    expect(state()).toEqual(before);
  });

  test('a tied table stays as it is while the head over it is merged, and for good', () => {
    for (const how of ['dequantise', 'requantise'] as const) {
      const weight = quantised(rt(), 'q8_0', [9, 32]);
      const table = new Embedding(rt(), 9, 32, { weight });
      const head = new Linear(rt(), 32, 9, { weight, bias: false });
      const lora = LoraModel.attach(new Sequential(table, head), { r: 2, targetModules: ['1'] });
      stir(rt(), lora.layer('1') as LoraLinear);
      const bytes = weight.bytes();
      lora.merge(undefined, { quantised: how });
      const merged = lora.layer('1').weight;
      expect([merged.dtype, weight.bytes()]).toEqual([how === 'dequantise' ? 'f32' : 'q8_0', bytes]);
      expect(merged.toArray()).not.toEqual(weight.toArray());
      lora.mergeAndUnload();
      expect([head.weight, table.weight]).toEqual([merged, weight]);
      expect(weight.bytes()).toEqual(bytes);
    }
  });
});

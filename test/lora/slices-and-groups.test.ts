/** Fused projections of which slices are adapted, and convolutions with groups, strides and dilation. */
import { expect, test } from 'vitest';
import { Conv2d, Linear, LoraConv2d, LoraLinear, LoraModel, mseLoss, Sequential } from '../../src/index.js';
import { apart, largestOf, stir, valuesOf } from '../support/layers.js';
import { describeRuntimes, gradientError } from '../support/runtimes.js';

describeRuntimes('merge, unmerge, arithmetic', (rt) => {
  test.each([false, true])(
    'fused projections, fanInFanOut %s: the slice between is byte-identical',
    (fanInFanOut) => {
      const base = new Linear(rt(), 8, 12, { fanInFanOut });
      const x = rt().normal([5, 8]).keep();
      const plain = valuesOf(rt(), base, x);
      const bytes = base.weight.toArray();
      const slices = { sizes: [5, 3, 4], adapted: [true, false, true] };
      const layer = LoraLinear.from(base, { r: 2, slices }).eval() as LoraLinear;
      expect(layer.factors('default').A.shape).toEqual([4, 8]);
      expect(layer.factors('default').B.shape).toEqual([9, 2]);
      expect(valuesOf(rt(), layer, x)).toEqual(plain);
      stir(rt(), layer);
      const on = valuesOf(rt(), layer, x);
      const slice = (values: ArrayLike<number>, m: number): number[] =>
        Array.from(values).slice(m * 12 + 5, m * 12 + 8);
      for (let m = 0; m < 5; m++) {
        expect(slice(on, m)).toEqual(slice(plain, m));
        expect(apart(on.slice(m * 12, m * 12 + 5), plain.slice(m * 12, m * 12 + 5))).toBeGreaterThan(1e-3);
      }
      rt().noGrad(() => layer.merge());
      expect(apart(valuesOf(rt(), layer, x), on)).toBeLessThan(2e-5 * largestOf(on));
      const merged = layer.weight.toArray();
      const kept = (values: ArrayLike<number>): number[] =>
        Array.from(values).filter((_, i) => {
          const output = fanInFanOut ? i % 12 : Math.floor(i / 8);
          return output >= 5 && output < 8;
        });
      expect(kept(merged)).toEqual(kept(bytes));
      layer.unmerge();
      expect(layer.weight.toArray()).toEqual(bytes);
    },
  );

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

  test.each([2, 4])(
    'a convolution of %d groups: merges into one of one group, and its rank must fit',
    (groups) => {
      const base = new Conv2d(rt(), 8, 8, 3, { groups, padding: 1 });
      expect(() => LoraConv2d.from(base, { r: groups + 1 })).toThrow(
        `of ${groups} groups, expected a multiple`,
      );
      for (const useDora of [false, true]) {
        const conv = new Conv2d(rt(), 8, 8, 3, { groups, padding: 1 });
        const lora = LoraModel.attach(new Sequential(conv), {
          r: 4,
          targetModules: ['0'],
          useDora,
        }).eval() as LoraModel<Sequential>;
        stir(rt(), lora.model.layers[0] as unknown as LoraConv2d);
        const x = rt().normal([2, 8, 5, 5]).keep();
        const on = valuesOf(rt(), lora, x);
        const plain = lora.mergeAndUnload();
        expect((plain.layers[0] as Conv2d).groups).toBe(1);
        expect(apart(valuesOf(rt(), plain, x), on)).toBeLessThan(2e-5 * largestOf(on));
      }
    },
  );

  test('stride, padding and dilation reach the convolution of A', () => {
    const base = new Conv2d(rt(), 3, 5, 3, { dilation: 2, padding: 2 });
    const layer = LoraConv2d.from(base, { r: 2 });
    stir(rt(), layer);
    const x = rt().normal([2, 3, 9, 8]).keep();
    expect(rt().scope(() => layer.forward(x)).shape).toEqual([2, 5, 9, 8]);
    // A stride, a padding and a dilation that would show: against the dense convolution by the summed weight.
    const odd = LoraConv2d.from(
      new Conv2d(rt(), 3, 5, [3, 2], { stride: [2, 3], padding: [1, 2], dilation: [2, 1] }),
      { r: 2 },
    );
    stir(rt(), odd);
    odd.eval();
    const on = valuesOf(rt(), odd, x);
    rt().noGrad(() => odd.merge());
    expect(apart(valuesOf(rt(), odd, x), on)).toBeLessThan(2e-5 * largestOf(on));
  });
});

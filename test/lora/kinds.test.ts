/** What must hold for every kind of layer: fresh adapters, gradients, dropout, merging and the way back, DoRA. */
import { expect, test } from 'vitest';
import { type Layer, type LoraLayerOptions, mseLoss, type Tensor } from '../../src/index.js';
import { type AnyLoraLayer, apart, LAYER_KINDS, largestOf, stir, valuesOf } from '../support/layers.js';
import { describeRuntimes, gradientError } from '../support/runtimes.js';

const HALF = { r: 4, loraAlpha: 6 };

describeRuntimes('every kind of layer', (rt) => {
  for (const { name, base: make, wrap, input } of LAYER_KINDS) {
    test(`A16 ${name}: a fresh adapter, of any scale, leaves every bit as it was`, () => {
      for (const options of [
        HALF,
        { ...HALF, loraAlpha: 64 },
        { ...HALF, initLoraWeights: 'gaussian' as const },
      ]) {
        const base = make(rt());
        const x = input(rt());
        const before = valuesOf(rt(), base, x);
        const biases = base.namedParameters().map(([key]) => key);
        const layer = wrap(base, options);
        expect(valuesOf(rt(), layer, x)).toEqual(before);
        expect([...layer.base.parameters()].length).toBe(biases.length);
      }
    });

    test(`${name}: gradients against differences, plain, DoRA and with dropout`, () => {
      const all: LoraLayerOptions[] = [
        HALF,
        { ...HALF, useDora: true },
        { ...HALF, loraDropout: 0.4 },
        { ...HALF, loraDropout: 0.4, useDora: true },
        ...(name === 'Embedding' ? [] : [{ ...HALF, loraBias: true }]),
      ];
      for (const options of all) {
        const layer = wrap(make(rt()), options);
        stir(rt(), layer);
        const x = input(rt());
        if (x.dtype === 'f32') x.requiresGrad = true;
        const target = rt()
          .scope(() => rt().normal(layer.forward(x).shape))
          .keep();
        if (options.useDora !== true) {
          // The norm is a constant of DoRA's backward, so only plain LoRA is the derivative of its forward in A and B.
          const inputs = [
            layer.factors('default').A,
            layer.factors('default').B,
            layer.factors('default').bias,
          ];
          for (const leaf of [...inputs, x.dtype === 'f32' ? x : null]) {
            if (leaf === null) continue;
            const { error, largest } = gradientError(rt(), leaf, () => masked(layer, x, target), 2e-2);
            expect(largest).toBeGreaterThan(1e-4);
            expect(error, JSON.stringify(options)).toBeLessThan(0.02 * largest + 1e-4);
          }
          continue;
        }
        for (const leaf of [layer.factors('default').magnitude!, ...(x.dtype === 'f32' ? [x] : [])]) {
          const { error, largest } = gradientError(rt(), leaf, () => masked(layer, x, target), 2e-2);
          expect(largest).toBeGreaterThan(1e-4);
          expect(error, JSON.stringify(options)).toBeLessThan(0.02 * largest + 1e-4);
        }
      }
    });

    test(`A17 ${name}: merged equals unmerged; the weight moves by deltaWeight; unmerge restores every byte`, () => {
      for (const options of [HALF, { ...HALF, useDora: true }] as LoraLayerOptions[]) {
        const layer = wrap(make(rt()), options).eval() as AnyLoraLayer;
        stir(rt(), layer);
        const x = input(rt());
        const weight = layer.base.weight.toArray();
        const on = valuesOf(rt(), layer, x);
        rt().noGrad(() => layer.merge());
        expect(layer.merged).toBe(true);
        expect(apart(valuesOf(rt(), layer, x), on)).toBeLessThan(2e-5 * largestOf(on));
        if (options.useDora !== true && layer.deltaShape.length === layer.base.weight.shape.length) {
          const delta = layer.deltaWeight().toArray();
          const merged = layer.weight.toArray();
          if (merged.length === weight.length)
            for (const [i, w] of merged.entries()) expect(w).toBe(Math.fround(weight[i]! + delta[i]!));
        }
        layer.unmerge();
        expect(layer.base.weight.toArray()).toEqual(weight);
        expect(valuesOf(rt(), layer, x)).toEqual(on);
      }
    });

    test(`A22 ${name}: dropout works in training on the branch alone, and merging leaves it out`, () => {
      const layer = wrap(make(rt()), { ...HALF, loraDropout: 0.5 });
      const x = input(rt());
      const fresh = valuesOf(rt(), layer, x);
      expect(valuesOf(rt(), layer.eval(), x)).toEqual(fresh);
      stir(rt(), layer);
      const evaluated = valuesOf(rt(), layer, x);
      layer.train();
      const [first, second] = [valuesOf(rt(), layer, x), valuesOf(rt(), layer, x)];
      if (name === 'Embedding') expect(first).toEqual(evaluated);
      else expect(apart(first, second)).toBeGreaterThan(1e-3);
      rt().noGrad(() => layer.merge());
      expect(apart(valuesOf(rt(), layer, x), evaluated)).toBeLessThan(2e-5 * largestOf(evaluated));
    });

    test(`${name}: a scale of 0 gives the base bit for bit, and DoRA keeps its magnitude`, () => {
      const base = make(rt());
      const x = input(rt());
      const before = valuesOf(rt(), base, x);
      const layer = wrap(base, HALF).eval() as AnyLoraLayer;
      stir(rt(), layer);
      const on = valuesOf(rt(), layer, x);
      layer.setScale('default', 0);
      expect(valuesOf(rt(), layer, x)).toEqual(before);
      layer.setScale('default', -2);
      expect(apart(valuesOf(rt(), layer, x), on)).toBeGreaterThan(1e-3);
      layer.setScale('default', 1);
      expect(valuesOf(rt(), layer, x)).toEqual(on);
    });
  }
});

/** The loss with the mask of the first call, every time: evaluation in all but the mask. */
function masked(layer: AnyLoraLayer, x: Tensor, target: Tensor): Tensor {
  layer.restartMasks();
  return mseLoss((layer as Layer).forward(x), target, { reduction: 'sum' });
}

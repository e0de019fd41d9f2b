/** What must hold for every kind of layer: fresh adapters, gradients, dropout, merging and the way back, DoRA. */
import { expect, test } from 'vitest';
import {
  type Layer,
  LoraConv2d,
  LoraEmbedding,
  type LoraLayerOptions,
  LoraLinear,
  mseLoss,
  type Tensor,
} from '../../src/index.js';
import { type AnyLoraLayer, apart, LAYER_KINDS, largestOf, stir, valuesOf } from '../support/layers.js';
import { describeRuntimes, gradientError } from '../support/runtimes.js';

const HALF = { r: 4, loraAlpha: 6 };

describeRuntimes('every kind of layer', (rt) => {
  for (const { name, base: make, wrap, input } of LAYER_KINDS) {
    test(`${name}: a fresh adapter, of any scale, leaves every bit as it was`, () => {
      for (const options of [
        HALF,
        { ...HALF, loraAlpha: 64 },
        { ...HALF, initLoraWeights: 'gaussian' as const },
      ]) {
        const base = make(rt());
        const x = input(rt());
        const before = valuesOf(rt(), base, x);
        const parameters = base.namedParameters().map(([key, { shape }]) => [key, shape]);
        const layer = wrap(base, options);
        expect(valuesOf(rt(), layer, x)).toEqual(before);
        const kept = layer.namedParameters().filter(([key]) => !key.startsWith('lora_'));
        expect(kept.map(([key, { shape }]) => [key.replace('base_layer.', ''), shape])).toEqual(parameters);
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

    test(`${name}: merged equals unmerged; the weight moves by deltaWeight; unmerge restores every byte`, () => {
      for (const options of [HALF, { ...HALF, useDora: true }] as LoraLayerOptions[]) {
        const layer = wrap(make(rt()), options).eval() as AnyLoraLayer;
        stir(rt(), layer);
        const x = input(rt());
        const weight = layer.base.weight.toArray();
        const on = valuesOf(rt(), layer, x);
        rt().noGrad(() => layer.merge());
        expect(layer.merged).toBe(true);
        expect(apart(valuesOf(rt(), layer, x), on)).toBeLessThan(2e-5 * largestOf(on));
        const merged = layer.weight.toArray();
        const want = mergedWeight(layer, weight);
        expect(merged.length).toBe(want.length);
        if (options.useDora === true) expect(apart(merged, want)).toBeLessThan(1e-6 * largestOf(want));
        else expect([...merged]).toEqual([...want].map(Math.fround));
        layer.unmerge();
        expect(layer.base.weight.toArray()).toEqual(weight);
        expect(valuesOf(rt(), layer, x)).toEqual(on);
      }
    });

    test(`${name}: dropout works in training on the branch alone, and merging leaves it out`, () => {
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

/** The base's bytes with the delta added, and with DoRA scaled to the magnitude, an output at a time, in float64. */
function mergedWeight(layer: AnyLoraLayer, weight: ArrayLike<number>): Float64Array {
  const { magnitude } = layer.factors('default');
  const sum = Float64Array.from(layer.deltaWeight().toArray());
  addDense(layer, sum, weight);
  if (magnitude === null) return sum;
  // An embedding's outputs, and those of a layer that keeps W as [in, out], are its columns.
  const outputs = magnitude.size;
  const byColumn = layer instanceof LoraEmbedding || (layer instanceof LoraLinear && layer.fanInFanOut);
  const outputOf = (i: number): number => (byColumn ? i % outputs : Math.floor(i / (sum.length / outputs)));
  const normed = groupsOf(layer) === 1 ? sum : peftSum(layer, weight);
  const squares = new Float64Array(outputs);
  for (const [i, v] of normed.entries())
    squares[byColumn ? i % outputs : Math.floor(i / (normed.length / outputs))]! += v * v;
  const m = magnitude.toArray();
  return sum.map((v, i) => (v * m[outputOf(i)]!) / Math.sqrt(squares[outputOf(i)]!));
}

const groupsOf = (layer: AnyLoraLayer): number => (layer instanceof LoraConv2d ? layer.groups : 1);

/** What PEFT takes DoRA's norms of in a grouped convolution: B read as [out/groups, r], its product with A laid over the weight. */
function peftSum(layer: AnyLoraLayer, weight: ArrayLike<number>): Float64Array {
  const { A, B, scaling } = layer.factors('default');
  const [a, b, r] = [A.toArray(), B.toArray(), A.shape[0]!];
  const columns = a.length / r;
  return Float64Array.from(weight, (w, i) => {
    let delta = 0;
    for (let k = 0; k < r; k++)
      delta += b[Math.floor(i / columns) * r + k]! * a[k * columns + (i % columns)]!;
    return w + scaling * delta;
  });
}

/** Adds the base's weight; that of a grouped convolution at the channels that each group sees. */
function addDense(layer: AnyLoraLayer, sum: Float64Array, weight: ArrayLike<number>): void {
  const groups = groupsOf(layer);
  const outputs = layer.base.weight.shape[0]!;
  const row = weight.length / outputs;
  for (const [i, w] of Array.from(weight).entries()) {
    const output = Math.floor(i / row);
    const group = Math.floor((output * groups) / outputs);
    sum[output * row * groups + group * row + (i % row)]! += w;
  }
}

/** The loss with the mask of the first call, every time: evaluation in all but the mask. */
function masked(layer: AnyLoraLayer, x: Tensor, target: Tensor): Tensor {
  layer.masks.step = 0;
  return mseLoss((layer as Layer).forward(x), target, { reduction: 'sum' });
}

/** What multiplies an adapter's delta: its scale, the magnitude of DoRA, and in training the mask of dropout. */
import { expect, test } from 'vitest';
import { Linear, LoraLinear, LoraModel, Sequential } from '../../src/index.js';
import { changedFiles } from '../support/adapter-files.js';
import { apart, largestOf, valuesOf } from '../support/layers.js';
import { describeRuntimes } from '../support/runtimes.js';
import { layersOf, sumOfDeltas, twoLinears } from '../support/two-linears.js';

describeRuntimes('merge, unmerge, arithmetic', (rt) => {
  test('scaling and deltaWeight are public, and what merging adds', () => {
    const lora = twoLinears(rt());
    const layer = layersOf(lora)[0]!;
    expect(layer.scaling).toBe(2);
    const [before, delta] = [layer.weight.toArray(), layer.deltaWeight().toArray()];
    expect(apart(delta, sumOfDeltas(layer, { a: 1 }))).toBeLessThan(1e-5 * largestOf(delta));
    lora.merge();
    expect([...layer.weight.toArray()]).toEqual([...before].map((w, i) => Math.fround(w + delta[i]!)));
  });

  test('the magnitude has a value for every output, as in PEFT; another length is refused with both shapes', async () => {
    const lora = LoraModel.attach(new Sequential(new Linear(rt(), 9, 5)), {
      r: 2,
      targetModules: ['0'],
      useDora: true,
    });
    const layer = lora.model.layers[0] as unknown as LoraLinear;
    expect(layer.factors('default').magnitude!.shape).toEqual([5]);
    const W = layer.base.weight.toArray();
    const norms = Array.from({ length: 5 }, (_, n) => Math.hypot(...W.subarray(n * 9, n * 9 + 9)));
    expect(apart(layer.factors('default').magnitude!.toArray(), norms)).toBeLessThan(1e-6 * largestOf(norms));
    const other = changedFiles(lora.exportAdapter(), (tensors) =>
      tensors.set('base_model.model.0.lora_magnitude_vector', { shape: [9], data: new Float32Array(9) }),
    );
    await expect(lora.loadAdapter('b', other)).rejects.toThrow(
      /lora_magnitude_vector is \[9\], expected \[5\]/,
    );
  });

  test('the scale multiplies the delta alone: with B = 0 the output is the base', () => {
    const base = new Linear(rt(), 9, 7);
    const x = rt().normal([4, 9]).keep();
    const before = valuesOf(rt(), base, x);
    const layer = LoraLinear.from(base, { r: 2, loraAlpha: 4 });
    expect(layer.scaling).toBe(2);
    expect(valuesOf(rt(), layer, x)).toEqual(before);
  });

  test('backward has the same mask: what was dropped gives A no gradient', () => {
    const layer = LoraLinear.from(new Linear(rt(), 6, 4), { r: 2, loraDropout: 0.9, initLoraWeights: false });
    const x = rt().full([1, 6], 1).keep();
    const [base, y] = rt().scope(() => {
      const values = layer.forward(x);
      values.backward(rt().full([1, 4], 1));
      return [
        rt()
          .noGrad(() => layer.base.forward(x))
          .toArray(),
        values.toArray(),
      ] as const;
    });
    const gradient = [...layer.factors('default').A.grad!.toArray()];
    const dropped = Array.from({ length: 6 }, (_, k) => gradient[k] === 0 && gradient[6 + k] === 0);
    expect(dropped.filter(Boolean).length).toBeGreaterThan(0);
    // Σ over kept inputs of A, through B: the delta of the forward is made of the same ones.
    const [A, B] = [layer.factors('default').A.toArray(), layer.factors('default').B.toArray()];
    const h = [0, 1].map((r) =>
      [...A].slice(6 * r, 6 * r + 6).reduce((sum, a, k) => sum + (dropped[k] ? 0 : a * 10), 0),
    );
    const want = [0, 1, 2, 3].map((n) => base[n]! + 4 * (B[2 * n]! * h[0]! + B[2 * n + 1]! * h[1]!));
    expect(apart(y, want)).toBeLessThan(1e-4);
  });

  test('the scale is alpha/r: doubling r halves it', () => {
    const scale = (options: object): number => LoraLinear.from(new Linear(rt(), 4, 4), options).scaling;
    expect(scale({ r: 8, loraAlpha: 16 })).toBe(2);
    expect(scale({ r: 16, loraAlpha: 16 })).toBe(1);
  });

  test('alpha is 8 unless given, the report shows the scale, and a weak one is noted', () => {
    expect(LoraLinear.from(new Linear(rt(), 4, 4), { r: 128 }).scaling).toBe(8 / 128);
    const lora = LoraModel.attach(new Sequential(new Linear(rt(), 4, 4)), { r: 128, targetModules: ['0'] });
    const report = lora.report();
    expect(report.adapters[0]!.notes.join()).toContain('alpha/r is 8/128');
    expect(report.toString()).toContain('scale 0.0625');
  });

  test('rank-stabilised scaling is alpha/√r', () => {
    expect(LoraLinear.from(new Linear(rt(), 4, 4), { r: 16, loraAlpha: 16, useRslora: true }).scaling).toBe(
      4,
    );
  });
});

/**
 * Merging and taking back, whatever the type of the base: faults that other packages had; those of every layer kind stand in
 * `kinds.test.ts`.
 */
import { expect, test } from 'vitest';
import { quantise } from '../../src/formats/index.js';
import { AdapterError, Linear, LoraLinear, LoraModel, Sequential } from '../../src/index.js';
import { apart, largestOf, stir, valuesOf } from '../support/layers.js';
import { describeRuntimes } from '../support/runtimes.js';
import { layersOf, twoLinears } from '../support/two-linears.js';

describeRuntimes('merge, unmerge, arithmetic', (rt) => {
  test('a merged adapter cannot be deleted, and stays listed', () => {
    const lora = twoLinears(rt());
    const bytes = layersOf(lora)[0]!.weight.toArray();
    lora.merge();
    expect(() => lora.deleteAdapter('a')).toThrow(AdapterError);
    expect(lora.mergedAdapters).toEqual(['a']);
    lora.unmerge();
    lora.deleteAdapter('a');
    expect(layersOf(lora)[0]!.weight.toArray()).toEqual(bytes);
  });

  test('merging in float32 moves the output by rounding alone', () => {
    const lora = twoLinears(rt());
    const x = rt().normal([6, 9]).keep();
    const on = valuesOf(rt(), lora, x);
    lora.merge();
    expect(apart(valuesOf(rt(), lora, x), on)).toBeLessThan(1e-5 * largestOf(on));
  });

  test('verifyMerge gives the largest difference and leaves everything as it was; a safe merge refuses NaN', () => {
    const layer = LoraLinear.from(new Linear(rt(), 768, 32), { r: 64 });
    stir(rt(), layer);
    const model = LoraModel.attach(new Sequential(new Linear(rt(), 768, 32)), {
      r: 64,
      targetModules: ['0'],
    });
    const [wrapped] = layersOf(model);
    stir(rt(), wrapped!);
    const x = rt().normal([4, 768]).keep();
    const bytes = wrapped!.weight.toArray();
    const y = valuesOf(rt(), model.eval(), x);
    model.train();
    const difference = model.verifyMerge(x);
    expect(difference).toBeGreaterThan(0);
    expect(difference).toBeLessThan(1e-5 * largestOf(y));
    expect(wrapped!.weight.toArray()).toEqual(bytes);
    expect(model.merged).toBe(false);
    expect(wrapped!.training).toBe(true);
    const { A } = wrapped!.factors('default');
    A.set(A.toArray().fill(Number.POSITIVE_INFINITY, 3, 4));
    expect(() => model.merge(undefined, { safe: true })).toThrow(/NaN or infinity/);
    expect(wrapped!.weight.toArray()).toEqual(bytes);
  });

  test('train and eval never merge, in any order', () => {
    const lora = twoLinears(rt());
    const x = rt().normal([2, 9]).keep();
    const bytes = layersOf(lora)[0]!.weight.toArray();
    const on = valuesOf(rt(), lora, x);
    for (const switchMode of [() => lora.eval(), () => lora.train(), () => lora.eval(), () => lora.eval()]) {
      switchMode();
      expect(lora.merged).toBe(false);
      expect(valuesOf(rt(), lora, x)).toEqual(on);
    }
    lora.merge();
    const merged = layersOf(lora)[0]!.weight.toArray();
    lora.eval().train().eval();
    expect(layersOf(lora)[0]!.weight.toArray()).toEqual(merged);
    lora.unmerge();
    expect(layersOf(lora)[0]!.weight.toArray()).toEqual(bytes);
  });

  test('merging in training mode leaves dropout out: W + s·B·A exactly', () => {
    const layer = LoraLinear.from(new Linear(rt(), 9, 7), { r: 2, loraAlpha: 4, loraDropout: 0.5 });
    stir(rt(), layer);
    const [weight, delta] = [layer.weight.toArray(), layer.deltaWeight().toArray()];
    expect(layer.training).toBe(true);
    rt().noGrad(() => layer.merge());
    expect([...layer.weight.toArray()]).toEqual([...weight].map((w, i) => Math.fround(w + delta[i]!)));
  });

  test.each([
    ['f16', 2 ** -11],
    ['bf16', 2 ** -8],
  ] as const)('merging into a base of %s moves the output by half a step of each weight', (dtype, unit) => {
    const [M, K, N, r] = [6, 65, 8, 3];
    const layer = LoraLinear.from(new Linear(rt(), K, N, { dtype }), { r, loraAlpha: 2 * r });
    stir(rt(), layer);
    const x = rt().normal([M, K]).keep();
    const apartFirst = valuesOf(rt(), layer, x);
    layer.merge();
    const together = valuesOf(rt(), layer, x);
    layer.unmerge();
    // |y' - y| of an element: each merged weight is off by `unit` of itself, and both sums round in float32.
    const { A, B } = layer.factors('default');
    const [w, a, b, xs] = [layer.weight, A, B, x].map((tensor) => tensor.toArray().map(Math.abs));
    const float = 2 * (K + r + 2) * 2 ** -23;
    let moved = 0;
    for (let m = 0; m < M; m++)
      for (let n = 0; n < N; n++) {
        let size = Math.abs(layer.bias!.toArray()[n]!);
        for (let k = 0; k < K; k++) {
          let delta = 0;
          for (let j = 0; j < r; j++) delta += 2 * b![n * r + j]! * a![j * K + k]!;
          size += xs![m * K + k]! * (w![n * K + k]! + delta);
        }
        const off = Math.abs(together[m * N + n]! - apartFirst[m * N + n]!);
        expect(off).toBeLessThanOrEqual((unit + float) * size);
        moved = Math.max(moved, off);
      }
    expect(moved).toBeGreaterThan(0);
  });

  test('merging into a quantised base is refused unless asked for, and never loses a delta in silence', () => {
    // Steps of a q4_0 block are an eighth of its largest value: the delta is a tenth of a step everywhere.
    const values = new Float32Array(8 * 64).map((_, i) => (i % 32 === 0 ? -0.8 : ((i % 15) - 7) / 10));
    const base = new Linear(rt(), 64, 8, { dtype: 'q4_0', bias: false });
    base.weight.writeBytes(quantise('q4_0', values));
    const lora = LoraModel.attach(new Sequential(base), { r: 1, loraAlpha: 1, targetModules: ['0'] });
    const { A, B } = (lora.layer('0') as LoraLinear).factors('default');
    A.set(new Float32Array(64).map((_, i) => (i % 32 === 0 ? 0 : i % 2 === 0 ? 0.1 : -0.1)));
    B.set(new Float32Array(8).fill(0.1));
    const x = rt().normal([5, 64]).keep();
    const [bytes, adapted] = [base.weight.bytes(), valuesOf(rt(), lora, x)];
    expect(() => lora.merge()).toThrow(AdapterError);
    expect(() => lora.mergeAndUnload()).toThrow("expected quantised: 'dequantise'");
    lora.merge(undefined, { quantised: 'requantise' });
    const { survived } = lora.report().adapters[0]!.layers[0]!;
    // Rounded to the steps, hardly anything of it is left: the merged weight is the old one, and the report says so.
    expect(
      apart(
        valuesOf(rt(), lora, x),
        lora.withAdaptersDisabled(() => valuesOf(rt(), lora, x)),
      ),
    ).toBe(0);
    expect([survived, base.weight.bytes()]).toEqual([0, bytes]);
    expect(lora.report().toString()).toContain('0.0 % of the delta survived');
    lora.unmerge();
    lora.merge(undefined, { quantised: 'dequantise' });
    expect(lora.report().adapters[0]!.layers[0]!.survived).toBe(1);
    const bound = 2 * (64 + 3) * 2 ** -23 * 64 * largestOf(x.toArray()) * 0.81;
    expect(apart(valuesOf(rt(), lora, x), adapted)).toBeLessThanOrEqual(bound);
  });
});

/** Faults of merging and layer arithmetic that other packages had; those of every layer kind stand in `kinds.test.ts`. */
import { expect, test } from 'vitest';
import { quantise } from '../../src/formats/index.js';
import {
  AdapterError,
  Conv2d,
  Linear,
  LoraConv2d,
  LoraLinear,
  LoraModel,
  type Runtime,
  Sequential,
} from '../../src/index.js';
import { apart, largestOf, stir, valuesOf } from '../support/layers.js';
import { describeRuntimes } from '../support/runtimes.js';

const CONFIG = { r: 3, loraAlpha: 6, targetModules: ['0', '1'] } as const;

function made(rt: Runtime, names: readonly string[] = ['a']): LoraModel<Sequential> {
  const lora = LoraModel.attach(new Sequential(new Linear(rt, 9, 8), new Linear(rt, 8, 7)), CONFIG, names[0]);
  for (const name of names.slice(1)) lora.addAdapter(name, CONFIG);
  for (const name of names) for (const layer of layersOf(lora)) stir(rt, layer, name);
  lora.eval();
  return lora;
}

function layersOf(lora: LoraModel<Sequential>): LoraLinear[] {
  return lora.model.layers as unknown as LoraLinear[];
}

/** Σ weight·scaling·B·A of the first layer in float64. */
function sumOfDeltas(layer: LoraLinear, weights: Record<string, number>): Float64Array {
  const sum = new Float64Array(layer.weight.size);
  for (const [name, weight] of Object.entries(weights)) {
    const { A, B, scaling } = layer.factors(name);
    const [a, b] = [A.toArray(), B.toArray()];
    const [out, r, width] = [B.shape[0]!, B.shape[1]!, A.shape[1]!];
    for (let i = 0; i < out; i++)
      for (let k = 0; k < r; k++)
        for (let j = 0; j < width; j++)
          sum[i * width + j]! += weight * scaling * b[i * r + k]! * a[k * width + j]!;
  }
  return sum;
}

describeRuntimes('merge, unmerge, arithmetic', (rt) => {
  test('a merged adapter cannot be deleted, and stays listed', () => {
    const lora = made(rt());
    const bytes = layersOf(lora)[0]!.weight.toArray();
    lora.merge();
    expect(() => lora.deleteAdapter('a')).toThrow(AdapterError);
    expect(lora.mergedAdapters).toEqual(['a']);
    lora.unmerge();
    lora.deleteAdapter('a');
    expect(layersOf(lora)[0]!.weight.toArray()).toEqual(bytes);
  });

  test.each([
    ['a weight of -1 subtracts', { a: -1 }],
    ['the mean of two is the mean of their deltas', { a: 0.5, b: 0.5 }],
    ['negative weights work', { a: 1, b: -0.5 }],
  ] as const)('%s', (_, weights) => {
    for (const combinationType of ['cat', 'svd'] as const) {
      const lora = made(rt(), ['a', 'b']);
      const layer = layersOf(lora)[0]!;
      const want = sumOfDeltas(layer, weights);
      const before = layer.weight.toArray();
      const name = lora.addWeightedAdapter(Object.keys(weights), Object.values(weights), {
        combinationType,
        svdRank: 7,
      });
      expect(apart(layer.deltaWeight(name).toArray(), want)).toBeLessThan(1e-5 * largestOf(want));
      lora.setAdapter(name);
      lora.merge();
      const moved = layer.weight.toArray().map((w, i) => w - before[i]!);
      expect(apart(moved, want)).toBeLessThan(1e-5 * (largestOf(want) + largestOf(before)));
      expect(layer.scaling).toBe(1);
    }
  });

  test('a negative weight is the negative of an adapter, and works in every combination; what is not known is refused by name', () => {
    for (const combinationType of [
      'linear',
      'dare_linear',
      'ties',
      'dare_ties',
      'magnitude_prune',
      'ties_svd',
    ] as const) {
      const lora = made(rt(), ['a', 'b', 'minus']);
      const layer = layersOf(lora)[0]!;
      const [b, minus] = [layer.factors('b'), layer.factors('minus')];
      minus.A.set(b.A.toArray().map((v) => -v));
      minus.B.set(b.B.toArray());
      // Nothing is dropped at random where all is kept.
      const density = combinationType.startsWith('dare') ? 1 : 0.7;
      const combined = (names: string[], weights: number[]) => {
        const name = `of${lora.adapters.length}`;
        lora.addWeightedAdapter(names, weights, { name, combinationType, density });
        return layer.deltaWeight(name).toArray();
      };
      const want = combined(['a', 'minus'], [1, 0.5]);
      expect(largestOf(want)).toBeGreaterThan(0.01);
      const negative = combined(['a', 'b'], [1, -0.5]);
      // The majority of TIES is one of adapters before their weights, as in PEFT, so that there an adapter counts by its own sign.
      if (combinationType.includes('ties')) expect(negative.every(Number.isFinite)).toBe(true);
      else expect(apart(negative, want), combinationType).toBeLessThan(1e-5 * largestOf(want));
      expect(largestOf(negative)).toBeGreaterThan(0.01);
      expect(apart(combined(['a', 'b'], [1, 0.5]), negative), combinationType).toBeGreaterThan(0.01);
    }
    const lora = made(rt());
    expect(() => lora.addWeightedAdapter(['a'], [1], { combinationType: 'slerp' as 'cat' })).toThrow(
      "combinationType is 'slerp'",
    );
    expect(() => lora.addWeightedAdapter(['a'], [1], { combinationType: 'ties' })).toThrow(
      'density is undefined',
    );
    expect(lora.adapters).toEqual(['a']);
  });

  test('merging in float32 moves the output by rounding alone', () => {
    const lora = made(rt());
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

  test('scaling and deltaWeight are public, and what merging adds', () => {
    const lora = made(rt());
    const layer = layersOf(lora)[0]!;
    expect(layer.scaling).toBe(2);
    const [before, delta] = [layer.weight.toArray(), layer.deltaWeight().toArray()];
    expect(apart(delta, sumOfDeltas(layer, { a: 1 }))).toBeLessThan(1e-5 * largestOf(delta));
    lora.merge();
    expect([...layer.weight.toArray()]).toEqual([...before].map((w, i) => Math.fround(w + delta[i]!)));
  });

  test('train and eval never merge, in any order', () => {
    const lora = made(rt());
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
    const { parseSafetensors, writeSafetensors } = await import('../../src/formats/index.js');
    const files = lora.exportAdapter();
    const file = parseSafetensors(files['adapter_model.safetensors']);
    const tensors = new Map(
      file.names.map((key) => [key, { shape: file.info(key).shape, data: file.f32(key) }]),
    );
    tensors.set('base_model.model.0.lora_magnitude_vector', { shape: [9], data: new Float32Array(9) });
    await expect(
      lora.loadAdapter('b', {
        config: new TextDecoder().decode(files['adapter_config.json']),
        weights: writeSafetensors(tensors),
      }),
    ).rejects.toThrow(/lora_magnitude_vector is \[9\], expected \[5\]/);
  });

  test('the scale multiplies the delta alone: with B = 0 the output is the base', () => {
    const base = new Linear(rt(), 9, 7);
    const x = rt().normal([4, 9]).keep();
    const before = valuesOf(rt(), base, x);
    const layer = LoraLinear.from(base, { r: 2, loraAlpha: 4 });
    expect(layer.scaling).toBe(2);
    expect(valuesOf(rt(), layer, x)).toEqual(before);
  });

  test('merging in training mode leaves dropout out: W + s·B·A exactly', () => {
    const layer = LoraLinear.from(new Linear(rt(), 9, 7), { r: 2, loraAlpha: 4, loraDropout: 0.5 });
    stir(rt(), layer);
    const [weight, delta] = [layer.weight.toArray(), layer.deltaWeight().toArray()];
    expect(layer.training).toBe(true);
    rt().noGrad(() => layer.merge());
    expect([...layer.weight.toArray()]).toEqual([...weight].map((w, i) => Math.fround(w + delta[i]!)));
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

/** Combinations over deltas: what PEFT makes on every kind of layer, and properties of those that draw random numbers. */
import { expect, test } from 'vitest';
import {
  type CombinationType,
  Conv2d,
  createRuntime,
  Embedding,
  Linear,
  LoraModel,
  Module,
  type Runtime,
  type Tensor,
} from '../../src/index.js';
import { clamped } from '../../src/lora/combining/combine.js';
import { goldenJson } from '../golden-support/files.js';
import { type AnyLoraLayer, apart, largestOf } from '../support/layers.js';

type LayerName = 'linear' | 'embedding' | 'conv';
type Factors = { A: number[]; B: number[] };

interface Golden {
  readonly r: number;
  readonly alphas: Record<string, number>;
  readonly parts: Record<LayerName, Record<string, Factors>>;
  readonly cases: {
    kind: CombinationType;
    weights: number[];
    density: number | null;
    sign: 'total' | 'frequency';
    rank: number | null;
    deltas: Record<LayerName, number[]>;
  }[];
  readonly clamps: { quantile: number; before: Factors; after: Factors }[];
}

const golden = goldenJson<Golden>('combine_svd.json');
const LAYERS = ['linear', 'embedding', 'conv'] as const;
const NAMES = Object.keys(golden.alphas);

class Net extends Module {
  readonly linear: Linear;
  readonly embedding: Embedding;
  readonly conv: Conv2d;

  constructor(rt: Runtime) {
    super();
    this.linear = new Linear(rt, 6, 5);
    this.embedding = new Embedding(rt, 7, 5);
    this.conv = new Conv2d(rt, 3, 5, [2, 1]);
  }

  override forward(x: Tensor): Tensor {
    return x;
  }
}

async function attach(): Promise<{
  lora: LoraModel<Net>;
  layer: (name: LayerName) => AnyLoraLayer;
  rt: Runtime;
}> {
  const rt = await createRuntime();
  const lora = LoraModel.attach(new Net(rt));
  const layer = (name: LayerName): AnyLoraLayer => lora.model[name] as unknown as AnyLoraLayer;
  for (const name of NAMES) {
    lora.addAdapter(name, { r: golden.r, loraAlpha: golden.alphas[name]!, targetModules: [...LAYERS] });
    for (const each of LAYERS) {
      const { A, B } = layer(each).factors(name);
      A.set(golden.parts[each][name]!.A);
      B.set(golden.parts[each][name]!.B);
    }
  }
  return { lora, layer, rt };
}

test.each(golden.cases)(
  '$kind with weights $weights and density $density is what PEFT makes, on every kind of layer',
  async (one) => {
    const { lora, layer, rt } = await attach();
    lora.addWeightedAdapter(NAMES, one.weights, {
      ...{ combinationType: one.kind, majoritySignMethod: one.sign },
      ...(one.density === null ? {} : { density: one.density }),
      ...(one.rank === null ? {} : { svdRank: one.rank }),
    });
    for (const name of LAYERS) {
      const { scaling, options } = layer(name).factors('combined');
      expect([scaling, options.r]).toEqual([1, one.rank ?? golden.r]);
      const wanted = one.deltas[name];
      expect(largestOf(wanted)).toBeGreaterThan(0.1);
      expect(apart(layer(name).deltaWeight('combined').toArray(), wanted)).toBeLessThan(
        2e-5 * largestOf(wanted),
      );
    }
    rt.dispose();
  },
);

test.each(golden.clamps)(
  'factors clamped at the quantile $quantile are what PEFT makes',
  ({ quantile, before, after }) => {
    const { A, B } = clamped(Float32Array.from(before.A), Float32Array.from(before.B), quantile);
    expect(apart(A, after.A)).toBeLessThan(1e-6 * largestOf(before.A));
    expect(apart(B, after.B)).toBeLessThan(1e-6 * largestOf(before.B));
    expect(apart(A, before.A) + apart(B, before.B)).toBeGreaterThan(0);
  },
);

test('svdClamp bounds both factors; without it none is bounded', async () => {
  const { lora, layer, rt } = await attach();
  lora.addWeightedAdapter(NAMES, [1, 1, 1], { name: 'free', combinationType: 'svd' });
  lora.addWeightedAdapter(NAMES, [1, 1, 1], { name: 'bound', combinationType: 'svd', svdClamp: 0.8 });
  const [free, bound] = ['free', 'bound'].map((name) => layer('linear').factors(name));
  const { A, B } = clamped(free!.A.toArray() as Float32Array, free!.B.toArray() as Float32Array, 0.8);
  expect(bound!.A.toArray()).toEqual(A);
  expect(bound!.B.toArray()).toEqual(B);
  expect(largestOf(B)).toBeLessThan(largestOf(free!.B.toArray()));
  rt.dispose();
});

test.each(['dare_linear_svd', 'dare_ties_svd'] as const)(
  '%s: every element is dropped or scaled up, as many as the density says',
  async (kind) => {
    const { lora, layer, rt } = await attach();
    let kept = 0;
    let all = 0;
    for (let i = 0; i < 20; i++) {
      lora.addWeightedAdapter(['a'], [1], { combinationType: kind, density: 0.3, svdRank: 5 });
      for (const name of LAYERS) {
        const made = layer(name).deltaWeight('combined').toArray();
        const whole = layer(name).deltaWeight('a').toArray();
        for (const [j, value] of made.entries()) {
          const [off, on] = [Math.abs(value), Math.abs(value - whole[j]! / 0.3)];
          expect(Math.min(off, on)).toBeLessThan(1e-4 * largestOf(whole));
          all++;
          if (on < off) kept++;
        }
      }
      lora.deleteAdapter('combined');
    }
    // 1,900 draws of 0.3: five standard deviations are 0.053.
    expect(all).toBe(1900);
    expect(Math.abs(kept / all - 0.3)).toBeLessThan(0.053);
    rt.dispose();
  },
);

test('dare over deltas of density 1 is the sum, and the mean of those that agree in sign', async () => {
  const { lora, layer, rt } = await attach();
  lora.addWeightedAdapter(NAMES, [1, -2, 1], {
    name: 'sum',
    combinationType: 'dare_linear_svd',
    density: 1,
    svdRank: 5,
  });
  lora.addWeightedAdapter(NAMES, [1, 1, 1], {
    name: 'mean',
    combinationType: 'dare_ties_svd',
    density: 1,
    svdRank: 5,
  });
  const deltas = NAMES.map((name) => layer('linear').deltaWeight(name).toArray());
  const sum = [...deltas[0]!].map((value, i) => value - 2 * deltas[1]![i]! + deltas[2]![i]!);
  const mean = [...deltas[0]!].map((_, i) => {
    const values = deltas.map((delta) => delta[i]!);
    const agree = values.filter((value) => value > 0 === values.reduce((a, b) => a + b) >= 0);
    return agree.reduce((a, b) => a + b, 0) / Math.max(agree.length, 1);
  });
  expect(apart(layer('linear').deltaWeight('sum').toArray(), sum)).toBeLessThan(1e-4);
  expect(apart(layer('linear').deltaWeight('mean').toArray(), mean)).toBeLessThan(1e-4);
  rt.dispose();
});

test('what thins out needs a density; deltas of a convolution with groups are refused by name', async () => {
  const { lora, rt } = await attach();
  for (const combinationType of [
    'ties_svd',
    'dare_linear_svd',
    'dare_ties_svd',
    'magnitude_prune',
    'magnitude_prune_svd',
  ] as const)
    expect(() => lora.addWeightedAdapter(['a', 'b'], [1, 1], { combinationType })).toThrow(
      `density is undefined, expected a number above 0 to 1 for ${combinationType}`,
    );
  expect(() => lora.addWeightedAdapter(['a'], [1], { combinationType: 'svd', svdClamp: 2 })).toThrow(
    'svdClamp is 2',
  );
  expect(lora.adapters).toEqual(NAMES);
  const grouped = new Net(rt);
  Object.assign(grouped, { conv: new Conv2d(rt, 2, 4, 1, { groups: 2 }) });
  const other = LoraModel.attach(grouped, { r: 2, targetModules: ['conv'] });
  expect(() =>
    other.addWeightedAdapter(['default'], [1], { combinationType: 'ties_svd', density: 0.5 }),
  ).toThrow("'ties_svd' on 'conv' with groups or slices");
  rt.dispose();
});

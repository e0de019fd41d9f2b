/** LoraModel and LoraLinear: a fresh adapter changes nothing, frozen stays frozen, off and unmerge restore exactly. */
import { expect, test } from 'vitest';
import {
  AdamW,
  AdapterError,
  type Layer,
  Linear,
  LoraLinear,
  LoraModel,
  mseLoss,
  type Runtime,
  type Tensor,
} from '../../src/index.js';
import { Mlp } from '../support/models.js';
import { describeRuntimes } from '../support/runtimes.js';

const CONFIG = { r: 4, loraAlpha: 8, targetModules: ['fc1', 'fc2'] } as const;

function train(rt: Runtime, model: LoraModel<Mlp>, steps = 3): void {
  const optimizer = new AdamW(model.trainableParameters(), { lr: 0.05 });
  const [x, target] = [rt.normal([6, 13]).keep(), rt.normal([6, 7]).keep()];
  for (let i = 0; i < steps; i++) {
    rt.scope(() => {
      optimizer.zeroGrad();
      mseLoss(model.forward(x), target).backward();
      optimizer.step();
    });
  }
  optimizer.dispose();
}

const out = (rt: Runtime, model: Layer, x: Tensor): number[] =>
  rt.scope(() => rt.noGrad(() => [...model.forward(x).toArray()]));
const apart = (a: number[], b: number[]): number => Math.max(...a.map((v, i) => Math.abs(v - b[i]!)));

describeRuntimes('LoraModel', (rt) => {
  test('a fresh adapter is bit-equal to the base, and counts by formula', () => {
    const model = new Mlp(rt());
    const x = rt().normal([5, 13]).keep();
    const before = out(rt(), model, x);
    const lora = LoraModel.attach(model, CONFIG);
    expect(out(rt(), lora, x)).toEqual(before);
    const added = 4 * (13 + 11) + 4 * (11 + 7);
    expect(lora.summary()).toMatchObject({ trainable: added, all: 13 * 11 + 11 + 11 * 7 + 7 + added });
    expect(lora.namedParameters().map(([name]) => name)).toEqual([
      'fc1.weight',
      'fc1.bias',
      'fc1.lora_A.default.weight',
      'fc1.lora_B.default.weight',
      'fc2.weight',
      'fc2.bias',
      'fc2.lora_A.default.weight',
      'fc2.lora_B.default.weight',
    ]);
    expect(model.fc1).toBeInstanceOf(LoraLinear);
    expect(model.fc1.weight.requiresGrad).toBe(false);
  });

  test('training moves the adapter alone; off is the base bit for bit, also merged and after an exception', () => {
    const model = new Mlp(rt());
    const x = rt().normal([5, 13]).keep();
    const base = out(rt(), model, x);
    const bytes = model.stateDict();
    const lora = LoraModel.attach(model, CONFIG);
    train(rt(), lora);
    const on = out(rt(), lora, x);
    expect(apart(on, base)).toBeGreaterThan(0.01);
    for (const [name, { data }] of bytes) expect(lora.stateDict().get(name)!.data).toEqual(data);
    expect(lora.withAdaptersDisabled(() => out(rt(), lora, x))).toEqual(base);
    expect(() =>
      lora.withAdaptersDisabled(() => {
        throw new Error('mine');
      }),
    ).toThrow('mine');
    expect(out(rt(), lora, x)).toEqual(on);
    lora.merge();
    expect(apart(out(rt(), lora, x), on)).toBeLessThan(1e-5 * Math.max(...on.map(Math.abs)));
    expect(lora.withAdaptersDisabled(() => out(rt(), lora, x))).toEqual(base);
    lora.unmerge();
    expect(out(rt(), lora, x)).toEqual(on);
    for (const [name, { data }] of bytes) expect(lora.stateDict().get(name)!.data).toEqual(data);
  });

  test('merging adds deltaWeight; what contradicts a merge is refused', () => {
    const model = new Mlp(rt());
    const lora = LoraModel.attach(model, { ...CONFIG, initLoraWeights: false });
    const layer = model.fc1 as unknown as LoraLinear;
    expect(layer.scaling).toBe(2);
    const before = layer.weight.toArray();
    const delta = layer.deltaWeight().toArray();
    lora.merge();
    expect([...layer.weight.toArray()]).toEqual([...before].map((w, i) => Math.fround(w + delta[i]!)));
    lora.addAdapter('other', CONFIG);
    expect(() => lora.merge()).toThrow(/merged already/);
    expect(() => lora.deleteAdapter('default')).toThrow(/is merged/);
    expect(() => lora.setAdapter('other')).toThrow(/would become inactive/);
    const x = rt().normal([2, 13]).keep();
    expect(() => lora.forward(x)).toThrow(/merged and requires gradients/);
    expect(lora.train().merged).toBe(true);
    expect(out(rt(), lora, x)).toHaveLength(14);
    lora.unmerge();
    expect(() => lora.unmerge()).toThrow(AdapterError);
    expect(layer.weight.toArray()).toEqual(before);
  });

  test('safe merge refuses NaN and leaves every weight as it was', () => {
    const model = new Mlp(rt());
    const lora = LoraModel.attach(model, { ...CONFIG, initLoraWeights: false });
    const { A } = (model.fc2 as unknown as LoraLinear).factors('default');
    A.set(A.toArray().fill(Number.NaN, 0, 1));
    const before = [model.fc1.weight.toArray(), model.fc2.weight.toArray()];
    expect(() => lora.merge(undefined, { safe: true })).toThrow(/NaN or infinity/);
    expect([model.fc1.weight.toArray(), model.fc2.weight.toArray()]).toEqual(before);
    expect(lora.merged).toBe(false);
    expect(() => lora.exportAdapter()).toThrow(/expected finite values/);
  });

  test('several adapters: their deltas sum, switching and deleting keep the lists true, others do not train', () => {
    const model = new Mlp(rt());
    const x = rt().normal([5, 13]).keep();
    const fc1 = model.fc1;
    const lora = LoraModel.attach(model, { ...CONFIG, targetModules: ['fc1'], initLoraWeights: false }, 'a');
    lora.addAdapter('b', { r: 3, loraAlpha: 5, targetModules: 'fc[1]', initLoraWeights: false });
    const layer = model.fc1 as unknown as LoraLinear;
    const base = out(rt(), fc1, x);
    const [a, b, both] = [['a'], ['b'], ['a', 'b']].map((names) => {
      lora.setAdapter(names);
      return out(rt(), layer, x);
    });
    const sum = base.map((v, i) => a![i]! + b![i]! - v);
    expect(apart(both!, sum)).toBeLessThan(1e-4);
    lora.setTrainable('a');
    lora.setAdapter('a');
    const before = layer.factors('b').A.toArray();
    train(rt(), lora);
    expect(layer.factors('b').A.toArray()).toEqual(before);
    lora.deleteAdapter('a');
    expect(lora.activeAdapters).toEqual([]);
    expect(lora.adapters).toEqual(['b']);
    expect(out(rt(), layer, x)).toEqual(base);
  });

  test('dropout acts in training only, and the same mask in backward', () => {
    const layer = LoraLinear.from(new Linear(rt(), 64, 3), {
      r: 2,
      loraDropout: 0.9,
      initLoraWeights: false,
    });
    const x = rt().full([1, 64], 1).keep();
    expect(out(rt(), layer.eval(), x)).toEqual(out(rt(), layer, x));
    expect(out(rt(), layer.train(), x)).not.toEqual(out(rt(), layer, x));
    const { A } = layer.factors('default');
    rt().scope(() => mseLoss(layer.forward(x), rt().zeros([1, 3])).backward());
    const rows = A.grad!.toArray();
    const dropped = Array.from({ length: 64 }, (_, k) => rows[k] === 0 && rows[64 + k] === 0).filter(
      Boolean,
    ).length;
    expect(dropped).toBeGreaterThan(40);
    expect(dropped).toBeLessThan(64);
  });

  test('mergeAndUnload gives the plain model, which computes the same', () => {
    const model = new Mlp(rt());
    const x = rt().normal([5, 13]).keep();
    const lora = LoraModel.attach(model, { ...CONFIG, initLoraWeights: false });
    const on = out(rt(), lora, x);
    const plain = lora.mergeAndUnload();
    expect(plain.fc1).toBeInstanceOf(Linear);
    expect(apart(out(rt(), plain, x), on)).toBeLessThan(1e-5 * Math.max(...on.map(Math.abs)));
    expect(plain.fc1.weight.requiresGrad).toBe(true);
    expect(() => lora.merge()).toThrow(/unloaded/);
  });
});

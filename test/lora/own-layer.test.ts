/** Layers of classes of a user’s own are adapted as their class says, to the bits of a Linear where they are one. */
import { expect, test } from 'vitest';
import {
  add,
  Linear,
  type LoraLayer,
  LoraModel,
  linear,
  type Module,
  mseLoss,
  mul,
  type Parameter,
  type Runtime,
  Sequential,
  SGD,
  scale,
  type Tensor,
} from '../../src/index.js';
import { type AnyLoraLayer, apart, stir, valuesOf } from '../support/layers.js';
import { Conv1D, Filter, type Gated, GatedModel, Table } from '../support/own-layers.js';
import { describeRuntimes } from '../support/runtimes.js';

/** The same numbers in a Linear. */
function twinOf(rt: Runtime, layer: Conv1D): Linear {
  const [nx, nf] = layer.weight.shape as [number, number];
  const twin = new Linear(rt, nx, nf, { fanInFanOut: true });
  twin.weight.set(layer.weight);
  twin.bias!.set(layer.bias);
  return twin;
}

function setFactors(from: AnyLoraLayer, to: AnyLoraLayer): void {
  const [a, b] = [from.factors('default'), to.factors('default')];
  b.A.set(a.A);
  b.B.set(a.B);
  if (a.magnitude !== null) b.magnitude!.set(a.magnitude);
}

const values = (tensor: Tensor | null | undefined): number[] => [...tensor!.toArray()];

describeRuntimes('a layer of a class of its own', (rt) => {
  const at = (model: Sequential, i = 0): AnyLoraLayer => model.layers[i] as AnyLoraLayer;

  test.each([
    ['plain', {}],
    ['DoRA', { useDora: true }],
    ['with a LoRA bias', { loraBias: true }],
  ])('over a matrix stored [in, out] computes, trains and merges to the bits of a Linear: %s', (_, more) => {
    const own = new Conv1D(rt(), 6, 5);
    const models = [new Sequential(own), new Sequential(twinOf(rt(), own))];
    const x = rt().normal([3, 5]).keep();
    const target = rt().normal([3, 6]).keep();
    const plain = valuesOf(rt(), own, x);
    const loras = models.map((model) =>
      LoraModel.attach(model, { r: 2, loraAlpha: 4, fanInFanOut: true, targetModules: ['0'], ...more }),
    );
    stir(rt(), at(models[0]!));
    setFactors(at(models[0]!), at(models[1]!));
    const bias = at(models[0]!).factors('default').bias;
    if (bias !== null) at(models[1]!).factors('default').bias!.set(bias);
    const seen = loras.map((lora, i) => {
      const optimizer = new SGD(lora.trainableParameters(), { lr: 0.1 });
      rt().scope(() => mseLoss(lora.forward(x), target).backward());
      const { A, B, magnitude } = at(models[i]!).factors('default');
      const grads = [A, B, magnitude].map((one) => (one === null ? [] : values(one.grad)));
      expect(grads[0]!.some((value) => value !== 0)).toBe(true);
      optimizer.step();
      lora.eval();
      const trained = valuesOf(rt(), lora, x);
      lora.merge();
      const merged = valuesOf(rt(), lora, x);
      expect(apart(merged, trained)).toBeLessThan(1e-5);
      lora.unmerge();
      expect(valuesOf(rt(), lora, x)).toEqual(trained);
      expect(lora.withAdaptersDisabled(() => valuesOf(rt(), lora, x))).toEqual(plain);
      lora.mergeAndUnload();
      return [...grads, trained, merged];
    });
    expect(seen[0]).toEqual(seen[1]);
    expect(apart(seen[0]!.at(-2)!, plain)).toBeGreaterThan(1e-2);
    expect(models[0]!.layers[0]).toBe(own);
    expect(valuesOf(rt(), own, x)).toEqual(seen[0]!.at(-1));
  });

  test('is meant by all-linear, saved under its name, and its file is loaded by a Linear', async () => {
    const own = new Conv1D(rt(), 6, 5);
    const twin = twinOf(rt(), own);
    const x = rt().normal([3, 5]).keep();
    const config = { r: 2, targetModules: 'all-linear', initLoraWeights: 'pissa' } as const;
    const model = new Sequential(own);
    const lora = LoraModel.attach(model, config);
    expect(lora.report().wrapped).toEqual(['0']);
    stir(rt(), at(model));
    const files = lora.exportAdapter();
    expect(JSON.parse(new TextDecoder().decode(files['adapter_config.json']))).toMatchObject({
      fan_in_fan_out: true,
    });
    const other = LoraModel.attach(new Sequential(twin));
    const fresh = new Conv1D(rt(), 6, 5);
    fresh.weight.set(own.weight);
    fresh.bias.set(own.bias);
    const again = LoraModel.attach(new Sequential(fresh));
    const want = valuesOf(rt(), lora.eval(), x);
    for (const loaded of [other, again]) {
      expect(await loaded.loadAdapter('mine', files)).toMatchObject({ missing: [], unexpected: [] });
      loaded.setAdapter('mine');
      expect(apart(valuesOf(rt(), loaded.eval(), x), want)).toBeLessThan(1e-5);
    }
  });

  test('with two inputs, a module inside and a mode is adapted with all of them', () => {
    const model = new GatedModel(rt());
    const own = model.gated;
    const [x, gate] = [rt().normal([3, 5]).keep(), rt().normal([3, 4]).keep()];
    const run = (): number[] => rt().scope(() => rt().noGrad(() => values(model.forward(x, gate))));
    model.eval();
    const plain = run();
    const lora = LoraModel.attach(model, { r: 2, targetModules: ['gated'] });
    expect(run()).toEqual(plain);
    expect(lora.namedModules().map(([name]) => name)).toContain('gated.drop');
    lora.train();
    expect(run()).not.toEqual(plain);
    expect(own.training).toBe(true);
    lora.eval();
    expect(run()).toEqual(plain);
    const layer = model.gated as unknown as LoraLayer<Gated> & Gated;
    stir(rt(), layer as unknown as AnyLoraLayer);
    const { A, B, scaling } = { ...layer.factors('default'), scaling: layer.scaling };
    const byHand = rt().scope(() =>
      rt().noGrad(() => {
        const y = add(linear(x, own.weight), scale(linear(linear(x, A), B), scaling));
        return values(mul(scale(y, 2), gate));
      }),
    );
    expect(apart(run(), byHand)).toBeLessThan(1e-5);
    // The properties of the plain layer are there.
    expect([layer.factor, layer.drop]).toEqual([2, own.drop]);
    layer.factor = 4;
    expect(
      apart(
        run(),
        byHand.map((value) => 2 * value),
      ),
    ).toBeLessThan(1e-4);
    const adapted = run();
    lora.merge();
    expect(apart(run(), adapted)).toBeLessThan(1e-4);
    expect(lora.mergeAndUnload().gated).toBe(own);
    expect(apart(run(), adapted)).toBeLessThan(1e-4);
  });

  test('has rows of its own inside withAdapterNames, and a failing forward leaves no tensor behind', () => {
    const model = new GatedModel(rt());
    const lora = LoraModel.attach(
      model,
      { r: 2, targetModules: ['gated'] },
      'a',
    ).eval() as LoraModel<GatedModel>;
    lora.addAdapter('b', { r: 2, targetModules: ['gated'] });
    for (const name of ['a', 'b']) stir(rt(), lora.layer('gated') as AnyLoraLayer, name);
    const [x, gate] = [rt().normal([3, 5]).keep(), rt().normal([3, 4]).keep()];
    const run = (): number[] => rt().scope(() => rt().noGrad(() => values(lora.forward(x, gate))));
    const alone = ['a', 'b'].map((name) => {
      lora.setAdapter(name);
      return run();
    });
    const base = lora.withAdaptersDisabled(run);
    const rows = lora.withAdapterNames(['b', '__base__', 'a'], run);
    expect(rows).toEqual([...alone[1]!.slice(0, 4), ...base.slice(4, 8), ...alone[0]!.slice(8)]);
    const { tensors } = rt().memory();
    expect(() => lora.forward(x, x)).toThrow('mul');
    expect(rt().memory().tensors).toBe(tensors);
  });

  test('over a table of rows or a convolution is adapted, merged, saved and loaded', async () => {
    const cases: [Module & { weight: Parameter }, Module & { weight: Parameter }, Tensor][] = [
      [
        new Table(rt(), 7, 4),
        new Table(rt(), 7, 4),
        rt()
          .tensor(Int32Array.of(0, 6, 3, 3))
          .keep(),
      ],
      [new Filter(rt(), 4, 2), new Filter(rt(), 4, 2), rt().normal([2, 2, 5, 5]).keep()],
    ];
    for (const [own, other, x] of cases) {
      other.weight.set(own.weight);
      const config = { r: 2, targetModules: ['0'] };
      const model = new Sequential(own as Linear);
      const plain = valuesOf(rt(), model, x);
      const lora = LoraModel.attach(model, config).eval() as LoraModel<Sequential>;
      expect(valuesOf(rt(), lora, x)).toEqual(plain);
      stir(rt(), at(model));
      const on = valuesOf(rt(), lora, x);
      expect(apart(on, plain)).toBeGreaterThan(1e-2);
      expect(lora.verifyMerge(x)).toBeLessThan(1e-4);
      const loaded = LoraModel.attach(new Sequential(other as Linear)).eval() as LoraModel<Sequential>;
      await loaded.loadAdapter('mine', lora.exportAdapter());
      loaded.setAdapter('mine');
      expect(valuesOf(rt(), loaded, x)).toEqual(on);
      expect(lora.mergeAndUnload().layers[0]).toBe(own);
      expect(apart(valuesOf(rt(), model, x), on)).toBeLessThan(1e-4);
    }
  });
});

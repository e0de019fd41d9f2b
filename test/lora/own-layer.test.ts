/** Layers of classes of a user's own, which extend none of Linear, Embedding and Conv2d: adapted as their class says. */
import { expect, test } from 'vitest';
import {
  AdapterError,
  add,
  conv2d,
  conv2dAdaptation,
  Dropout,
  embedding,
  embeddingAdaptation,
  type LayerAdaptation,
  Linear,
  LoraLayer,
  LoraLinear,
  LoraModel,
  linear,
  linearAdaptation,
  Module,
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
import { describeRuntimes } from '../support/runtimes.js';

/** GPT-2's layer: the weight is stored [in, out]. */
class Conv1D extends Module {
  static readonly adaptation = linearAdaptation<Conv1D>({ fanInFanOut: true });
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly nf: number;

  constructor(rt: Runtime, nf: number, nx: number) {
    super();
    this.nf = nf;
    this.weight = rt.parameter(rt.normal([nx, nf], 0.3).toArray(), [nx, nf]);
    this.bias = rt.parameter(rt.normal([nf], 0.3).toArray(), [nf]);
  }

  override forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias, { fanInFanOut: true });
  }
}

/** A product between other things: a second input, a factor, a module inside. */
class Gated extends Module {
  static readonly adaptation: LayerAdaptation<Gated> = linearAdaptation<Gated>({
    forward: (layer, product, x, gate) => layer.around(product(layer.drop.forward(x)), gate),
  });
  readonly weight: Parameter;
  readonly drop: Dropout;
  factor = 2;

  constructor(rt: Runtime, out: number, width: number) {
    super();
    this.weight = rt.parameter(rt.normal([out, width], 0.3).toArray(), [out, width]);
    this.drop = new Dropout(rt, 0.5);
  }

  around(y: Tensor, gate: Tensor): Tensor {
    return mul(scale(y, this.training ? 1 : this.factor), gate);
  }

  override forward(x: Tensor, gate: Tensor): Tensor {
    return this.around(linear(this.drop.forward(x), this.weight), gate);
  }
}

class GatedModel extends Module {
  readonly gated: Gated;
  constructor(rt: Runtime) {
    super();
    this.gated = new Gated(rt, 4, 5);
  }
  override forward(x: Tensor, gate: Tensor): Tensor {
    return this.gated.forward(x, gate);
  }
}

class Table extends Module {
  static readonly adaptation = embeddingAdaptation<Table>({
    forward: (_layer, lookup, ids) => scale(lookup(ids), 3),
  });
  readonly weight: Parameter;
  constructor(rt: Runtime, rows: number, dim: number) {
    super();
    this.weight = rt.parameter(rt.normal([rows, dim], 0.3).toArray(), [rows, dim]);
  }
  override forward(ids: Tensor): Tensor {
    return scale(embedding(ids, this.weight), 3);
  }
}

class Filter extends Module {
  static readonly adaptation = conv2dAdaptation<Filter>();
  readonly weight: Parameter;
  readonly padding = 1;
  readonly groups: number;
  constructor(rt: Runtime, out: number, width: number, groups = 1) {
    super();
    this.groups = groups;
    const shape = [out, width / groups, 3, 3];
    this.weight = rt.parameter(rt.normal(shape, 0.3).toArray(), shape);
  }
  override forward(x: Tensor): Tensor {
    const { padding, groups } = this;
    return conv2d(x, this.weight, null, { padding, groups });
  }
}

/** The same numbers in a Linear. */
function twinOf(rt: Runtime, layer: Conv1D): Linear {
  const [nx, nf] = layer.weight.shape as [number, number];
  const twin = new Linear(rt, nx, nf, { fanInFanOut: true });
  twin.weight.set(layer.weight);
  twin.bias!.set(layer.bias);
  return twin;
}

function sameFactors(from: AnyLoraLayer, to: AnyLoraLayer): void {
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
    sameFactors(at(models[0]!), at(models[1]!));
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

  test('alone: LoraLayer.from wraps it with one adapter and freezes it; LoraLinear asks for a Linear', () => {
    const own = new Conv1D(rt(), 6, 5);
    const layer = LoraLayer.from(own, { r: 3 });
    expect([layer.kind, layer.base, layer.adapters]).toEqual(['linear', own, ['default']]);
    expect(own.parameters().some(({ requiresGrad }) => requiresGrad)).toBe(false);
    expect(layer.factors('default').A.shape).toEqual([3, 5]);
    expect(layer instanceof LoraLinear).toBe(false);
    expect(LoraLayer.from(new Linear(rt(), 2, 2)) instanceof LoraLinear).toBe(true);
    expect(() => LoraLinear.from(own as unknown as Linear)).toThrow(
      'LoraLinear.from: base is Conv1D, expected a Linear',
    );
    expect(() => LoraLayer.from(new Dropout(rt()) as never)).toThrow(
      'LoraLayer.from: base is Dropout, expected a Linear, Embedding or Conv2d, or a layer whose class has a static adaptation',
    );
  });

  test('whose parameters do not fit its kind is refused with what they are, and nothing has changed', () => {
    class Flat extends Module {
      static readonly adaptation = linearAdaptation<Flat>();
      weight: Parameter = rt().parameter(null, [6]);
      bias: Parameter | null = null;
      override forward(x: Tensor): Tensor {
        return x;
      }
    }
    const flat = new Flat();
    const attach = (): unknown =>
      LoraModel.attach(new Sequential(flat as never), { r: 2, targetModules: ['0'] });
    expect(attach).toThrow(AdapterError);
    expect(attach).toThrow(
      'LoraModel.attach: 0: weight of Flat is [6], expected a parameter of 2 dimensions, as linear layers have',
    );
    flat.weight = rt().parameter(null, [6, 3]);
    flat.bias = rt().parameter(null, [3]);
    expect(attach).toThrow('LoraModel.attach: 0: bias of Flat is [3], expected [6] or none');
    expect(flat.parameters().every(({ requiresGrad }) => requiresGrad)).toBe(true);
  });

  test('with groups is merged while it stands, and not for good', () => {
    const own = new Filter(rt(), 4, 4, 2);
    const x = rt().normal([2, 4, 5, 5]).keep();
    const model = new Sequential(own as never);
    const lora = LoraModel.attach(model, { r: 2, targetModules: ['0'] }).eval() as LoraModel<Sequential>;
    stir(rt(), at(model));
    expect(lora.verifyMerge(x)).toBeLessThan(1e-4);
    expect(() => lora.mergeAndUnload()).toThrow('a Filter of 2 groups is merged into a plain Conv2d of one');
    expect(lora.unload().layers[0]).toBe(own);
  });
});

test('what a description is told is checked by name', () => {
  expect(() => linearAdaptation({ fanInFanOut: 'yes' as never })).toThrow(
    "linearAdaptation: fanInFanOut is 'yes', expected a boolean or a function",
  );
  expect(() => embeddingAdaptation({ forward: 3 as never })).toThrow(
    'embeddingAdaptation: forward is 3, expected a function',
  );
  expect(() => conv2dAdaptation({ typo: 1 } as never)).toThrow('conv2dAdaptation: ');
});

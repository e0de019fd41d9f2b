/** Subclasses of Linear, Embedding and Conv2d with a forward of their own: refused by name, or adapted as they say. */
import { expect, test } from 'vitest';
import {
  AdapterError,
  add,
  type Conv2d,
  conv2dAdaptation,
  createRuntime,
  type Embedding,
  type Layer,
  Linear,
  LoraConv2d,
  LoraEmbedding,
  LoraLinear,
  LoraModel,
  linear,
  linearAdaptation,
  type Module,
  type Runtime,
  Sequential,
  scale,
  type Tensor,
} from '../../src/index.js';
import { type AnyLoraLayer, apart, stir, valuesOf } from '../support/layers.js';
import { Doubled, Halved, Negated } from '../support/own-forwards.js';

/** The same maths under another name. */
class Named extends Linear {}

class Adaptable extends Doubled {
  static readonly adaptation = linearAdaptation<Adaptable>({
    fanInFanOut: (layer) => layer.fanInFanOut,
    forward: (_layer, product, x) => scale(product(x), 2),
  });
}

/** Says nothing of its own, and computes what the class above it says. */
class StillAdaptable extends Adaptable {}

class Tripled extends Adaptable {
  override forward(x: Tensor): Tensor {
    return scale(super.forward(x), 1.5);
  }
}

class AdaptableConv extends Negated {
  static readonly adaptation = conv2dAdaptation<AdaptableConv>({
    forward: (_layer, convolve, x) => scale(convolve(x), -1),
  });
}

/** The product of an adapted layer, without what its class computes around it. */
function productOf(layer: AnyLoraLayer, x: Tensor): Tensor {
  const { A, B, scaling } = layer.factors('default');
  const { weight, bias } = layer.base as Linear;
  return add(linear(x, weight, bias), scale(linear(linear(x, A), B), scaling));
}

const ALL = { r: 2, targetModules: ['0', '1'] } as const;

test.each([
  [
    'Linear (Doubled)',
    (rt: Runtime) => new Doubled(rt, 3, 3),
    (base: Module) => LoraLinear.from(base as Linear),
  ],
  [
    'Embedding (Halved)',
    (rt: Runtime) => new Halved(rt, 3, 3),
    (base: Module) => LoraEmbedding.from(base as Embedding),
  ],
  [
    'Conv2d (Negated)',
    (rt: Runtime) => new Negated(rt, 3, 3, 1),
    (base: Module) => LoraConv2d.from(base as Conv2d),
  ],
])(
  'a target that is a %s is refused by name, alone and among others, and nothing has changed',
  async (what, make, from) => {
    const rt = await createRuntime();
    const model = new Sequential(new Named(rt, 3, 3), make(rt));
    const layers = [...model.layers];
    for (const targetModules of [['1'], ['0', '1'], '.*'])
      expect(() => LoraModel.attach(model, { targetModules })).toThrow(
        `LoraModel.attach: 1 is a ${what} with a forward of its own`,
      );
    expect(() => from(layers[1]!)).toThrow(`with a forward of its own`);
    expect(model.layers).toEqual(layers);
    expect(model.parameters().every(({ requiresGrad }) => requiresGrad)).toBe(true);
    const lora = LoraModel.attach(model, { targetModules: ['0', '1'], excludeModules: ['1'] });
    expect(lora.report().wrapped).toEqual(['0']);
    expect(() => lora.addAdapter('b', ALL)).toThrow(AdapterError);
    expect(lora.adapters).toEqual(['default']);
    rt.dispose();
  },
);

test('a class under one that says how, with yet another forward, is refused until it says so itself', async () => {
  const rt = await createRuntime();
  const model = new Sequential(new Tripled(rt, 3, 3));
  expect(() => LoraModel.attach(model, { targetModules: ['0'] })).toThrow(
    'LoraModel.attach: 0 is a Adaptable (Tripled) with a forward of its own, which its LoRA layer would not compute',
  );
  expect(model.layers[0]).toBeInstanceOf(Tripled);
  rt.dispose();
});

test('a forward that one instance was given is a forward of its own too', async () => {
  const rt = await createRuntime();
  const layer = new Linear(rt, 3, 3);
  layer.forward = (x) => x;
  expect(() => LoraModel.attach(new Sequential(layer), { targetModules: ['0'] })).toThrow(
    'a forward of its own',
  );
  rt.dispose();
});

test('a subclass that says how is adapted with its own forward, merged and given back', async () => {
  const rt = await createRuntime();
  const model = new Sequential(new Linear(rt, 3, 3), new StillAdaptable(rt, 3, 3));
  const x = rt.normal([2, 3]).keep();
  const base = valuesOf(rt, model, x);
  const lora = LoraModel.attach(model, ALL).eval() as LoraModel<Sequential>;
  expect(valuesOf(rt, lora, x)).toEqual(base);
  for (const layer of model.layers) stir(rt, layer as AnyLoraLayer);
  const on = valuesOf(rt, lora, x);
  expect(apart(on, base)).toBeGreaterThan(1e-3);
  const adapted = model.layers[1] as AnyLoraLayer;
  const twice = { forward: (y: Tensor) => scale(productOf(adapted, y), 2) } as Layer;
  expect(apart(valuesOf(rt, adapted, x), valuesOf(rt, twice, x))).toBeLessThan(1e-5);
  lora.merge();
  expect(apart(valuesOf(rt, lora, x), on)).toBeLessThan(1e-5);
  const plain = lora.mergeAndUnload();
  expect(plain.layers[1]).toBeInstanceOf(StillAdaptable);
  expect(apart(valuesOf(rt, plain, x), on)).toBeLessThan(1e-5);
  rt.dispose();
});

test('a static adaptation that is no description is refused by name, and nothing has changed', async () => {
  const rt = await createRuntime();
  for (const wrong of [null, 7, {}, { kind: 'linear' }, new Linear(rt, 1, 1), () => linearAdaptation()]) {
    class Wrong extends Linear {
      static readonly adaptation: unknown = wrong;
    }
    const model = new Sequential(new Wrong(rt, 3, 3));
    expect(() => LoraModel.attach(model, { targetModules: ['0'] })).toThrow(
      /^LoraModel\.attach: 0: the static adaptation of Wrong is .+, expected what linearAdaptation, /s,
    );
    expect(model.layers[0]).toBeInstanceOf(Wrong);
    expect(model.parameters().every(({ requiresGrad }) => requiresGrad)).toBe(true);
  }
  rt.dispose();
});

test('a convolution with groups and a forward of its own is not merged for good into a plain one', async () => {
  const rt = await createRuntime();
  const model = new Sequential(new AdaptableConv(rt, 2, 2, 1, { groups: 2 }));
  const lora = LoraModel.attach(model, { r: 2, targetModules: ['0'] });
  expect(() => lora.mergeAndUnload()).toThrow('merged into a plain Conv2d of one');
  expect([lora.merged, lora.adapters]).toEqual([false, ['default']]);
  expect(lora.unload().layers[0]).toBeInstanceOf(AdaptableConv);
  rt.dispose();
});

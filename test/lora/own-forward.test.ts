/** Subclasses of Linear, Embedding and Conv2d with a forward of their own: refused by name, or adapted as they say. */
import { expect, test } from 'vitest';
import {
  AdapterError,
  Conv2d,
  createRuntime,
  Embedding,
  type Layer,
  Linear,
  LoraConv2d,
  LoraEmbedding,
  LoraLinear,
  LoraModel,
  type Module,
  type Runtime,
  Sequential,
  scale,
  type Tensor,
} from '../../src/index.js';
import { type AnyLoraLayer, apart, stir, valuesOf } from '../support/layers.js';

/** The same maths under another name. */
class Named extends Linear {}

class Doubled extends Linear {
  override forward(x: Tensor): Tensor {
    return scale(super.forward(x), 2);
  }
}

class Halved extends Embedding {
  override forward(ids: Tensor): Tensor {
    return scale(super.forward(ids), 0.5);
  }
}

class Negated extends Conv2d {
  override forward(x: Tensor): Tensor {
    return scale(super.forward(x), -1);
  }
}

class LoraDoubled extends LoraLinear {
  override forward(x: Tensor): Tensor {
    return scale(super.forward(x), 2);
  }
}

class LoraNegated extends LoraConv2d {
  override forward(x: Tensor): Tensor {
    return scale(super.forward(x), -1);
  }
}

class Adaptable extends Doubled {
  static loraLayer(layer: Adaptable): LoraLinear {
    return new LoraDoubled(layer);
  }
}

/** Says nothing of its own, and computes what the class above it says. */
class StillAdaptable extends Adaptable {}

class Tripled extends Adaptable {
  override forward(x: Tensor): Tensor {
    return scale(super.forward(x), 1.5);
  }
}

class AdaptableConv extends Negated {
  static loraLayer(layer: AdaptableConv): LoraConv2d {
    return new LoraNegated(layer);
  }
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
    'LoraModel.attach: 0 is a Adaptable (Tripled) with a forward of its own, which the LoRA layer of Adaptable would not compute',
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
  expect(valuesOf(rt, model.layers[1]!, x)).toEqual(
    valuesOf(
      rt,
      { forward: (y: Tensor) => scale(LoraLinear.prototype.forward.call(model.layers[1], y), 2) } as Layer,
      x,
    ),
  );
  lora.merge();
  expect(apart(valuesOf(rt, lora, x), on)).toBeLessThan(1e-5);
  const plain = lora.mergeAndUnload();
  expect(plain.layers[1]).toBeInstanceOf(StillAdaptable);
  expect(apart(valuesOf(rt, plain, x), on)).toBeLessThan(1e-5);
  rt.dispose();
});

test('what loraLayer gives is a new LoRA layer over the layer itself', async () => {
  const rt = await createRuntime();
  const other = new Linear(rt, 3, 3);
  for (const wrong of [null, other, new LoraLinear(other), LoraLinear.from(new Linear(rt, 3, 3))]) {
    class Wrong extends Linear {
      static loraLayer(): unknown {
        return wrong;
      }
    }
    const model = new Sequential(new Wrong(rt, 3, 3));
    expect(() => LoraModel.attach(model, { targetModules: ['0'] })).toThrow(
      'expected a new LoRA layer over it',
    );
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

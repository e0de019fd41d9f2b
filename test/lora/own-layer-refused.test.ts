/** What a layer of a class of its own may not be, or may not do: parameters, merges and descriptions that do not fit. */
import { expect, test } from 'vitest';
import {
  AdapterError,
  conv2dAdaptation,
  Dropout,
  embeddingAdaptation,
  Linear,
  LoraLayer,
  LoraLinear,
  LoraModel,
  linearAdaptation,
  Module,
  type Parameter,
  Sequential,
  type Tensor,
} from '../../src/index.js';
import { type AnyLoraLayer, stir } from '../support/layers.js';
import { Conv1D, Filter } from '../support/own-layers.js';
import { describeRuntimes } from '../support/runtimes.js';

describeRuntimes('a layer of a class of its own', (rt) => {
  const at = (model: Sequential, i = 0): AnyLoraLayer => model.layers[i] as AnyLoraLayer;

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

/**
 * Adapters over a base of 16 bits: the bits of the same over float32 of its values, in every kind of layer; saved modules,
 * files and plain models.
 */
import { expect, test } from 'vitest';
import {
  Embedding,
  Linear,
  type LoraLayerOptions,
  LoraModel,
  type Runtime,
  Sequential,
} from '../../src/index.js';
import { changedFiles } from '../support/adapter-files.js';
import { rounded } from '../support/halves.js';
import {
  type AnyLoraLayer,
  LAYER_KINDS,
  loraLayersOf,
  stir,
  trainedValues,
  valuesOf,
} from '../support/layers.js';
import { describeRuntimes } from '../support/runtimes.js';

const DTYPES = ['f16', 'bf16'] as const;

const OPTIONS: readonly LoraLayerOptions[] = [
  { r: 2 },
  { r: 4, useRslora: true, loraDropout: 0.4 },
  { r: 2, useDora: true },
  { r: 2, useDora: true, loraDropout: 0.4 },
];

/** A layer of 16 bits and one of float32 with its values, under adapters of the same values, with the same dropout masks. */
function twins(
  rt: Runtime,
  kind: (typeof LAYER_KINDS)[number],
  dtype: 'f16' | 'bf16',
  options: LoraLayerOptions,
): [AnyLoraLayer, AnyLoraLayer] {
  const bases = [kind.base(rt, { dtype }), kind.base(rt)] as [Linear, Linear];
  bases[1].weight.set(bases[0].weight.toArray());
  bases[1].bias?.set(bases[0].bias!);
  const { layers } = rt.engine;
  const [half, whole] = bases.map((base) => {
    rt.engine.layers = layers;
    return kind.wrap(base, options);
  }) as [AnyLoraLayer, AnyLoraLayer];
  stir(rt, half);
  const [own, other] = [half.factors('default'), whole.factors('default')];
  other.A.set(own.A);
  other.B.set(own.B);
  if (own.magnitude !== null) {
    // What DoRA began with, the norms of the weight, is the same before it is stirred.
    other.magnitude!.set(own.magnitude);
  }
  return [half, whole];
}

describeRuntimes('adapters over 16 bits', (rt) => {
  for (const dtype of DTYPES) {
    for (const options of OPTIONS) {
      test.each(LAYER_KINDS)(
        `${dtype}, $name, ${JSON.stringify(options)}: the bits of float32, forward and backward`,
        (kind) => {
          const [half, whole] = twins(rt(), kind, dtype, options);
          expect(half.base.weight.dtype).toBe(dtype);
          const x = kind.input(rt());
          expect(trainedValues(rt(), half, x)).toEqual(trainedValues(rt(), whole, x));
          // Both have trained: the factors' gradients are there, in float32.
          const { A, B } = half.factors('default');
          expect([A.dtype, B.dtype, A.grad!.dtype, B.grad!.dtype]).toEqual(['f32', 'f32', 'f32', 'f32']);
        },
      );
    }

    test.each(LAYER_KINDS)(
      `${dtype}, $name: a merge is the float32 merge rounded once, and is taken back to the byte`,
      (kind) => {
        for (const options of [{ r: 2 }, { r: 2, useDora: true }]) {
          const [half, whole] = twins(rt(), kind, dtype, options);
          const bytes = half.base.weight.bytes();
          half.merge();
          whole.merge();
          expect(half.weight.dtype).toBe(dtype);
          expect([...half.weight.toArray()]).toEqual(rounded(dtype, whole.weight.toArray()));
          expect(half.weight.toArray()).not.toEqual(whole.weight.toArray());
          half.unmerge();
          expect(half.base.weight.bytes()).toEqual(bytes);
        }
      },
    );
  }

  test('DoRA begins with the norms of the values, whichever type they are kept in', () => {
    for (const kind of LAYER_KINDS) {
      const bases = [kind.base(rt(), { dtype: 'bf16' }), kind.base(rt())] as [Linear, Linear];
      bases[1].weight.set(bases[0].weight.toArray());
      const [half, whole] = bases.map((base) => kind.wrap(base, { r: 2, useDora: true }).factors('default'));
      expect(half!.magnitude!.toArray()).toEqual(whole!.magnitude!.toArray());
    }
  });

  test('several adapters compute as over float32; merged one after the other they are rounded together', () => {
    const config = { r: 3, targetModules: ['0'] };
    const base = new Linear(rt(), 9, 7, { dtype: 'bf16' });
    const plain = new Linear(rt(), 9, 7);
    plain.loadStateDict(base.stateDict());
    const [half, whole] = [base, plain].map((layer) => {
      const lora = LoraModel.attach(new Sequential(layer), config, 'a');
      lora.addAdapter('b', config);
      lora.setAdapter(['a', 'b']);
      return lora;
    }) as [LoraModel<Sequential>, LoraModel<Sequential>];
    const [own, other] = [loraLayersOf(half)[0]!, loraLayersOf(whole)[0]!];
    for (const name of ['a', 'b']) {
      stir(rt(), own, name);
      other.factors(name).A.set(own.factors(name).A);
      other.factors(name).B.set(own.factors(name).B);
    }
    const x = rt().normal([5, 9]).keep();
    expect(valuesOf(rt(), half, x)).toEqual(valuesOf(rt(), whole, x));
    const bytes = base.weight.bytes();
    for (const lora of [half, whole]) for (const name of ['a', 'b']) lora.merge([name]);
    expect([...base.weight.toArray()]).toEqual(rounded('bf16', plain.weight.toArray()));
    for (const lora of [half, whole]) lora.unmerge(['a']);
    expect([...base.weight.toArray()]).toEqual(rounded('bf16', plain.weight.toArray()));
    half.unmerge();
    expect(base.weight.bytes()).toEqual(bytes);
    expect(half.verifyMerge(x)).toBeGreaterThan(0);
    expect(base.weight.bytes()).toEqual(bytes);
  });

  test('a saved module of 16 bits is trained as a float32 copy, and comes to the base rounded', () => {
    const head = new Linear(rt(), 7, 3, { dtype: 'bf16' });
    const model = new Sequential(new Linear(rt(), 9, 7, { dtype: 'f16' }), head);
    const x = rt().normal([4, 9]).keep();
    const plain = valuesOf(rt(), model, x);
    const bytes = head.weight.bytes();
    const original = head.weight;
    const lora = LoraModel.attach(model, { r: 2, targetModules: ['0'], modulesToSave: ['1'] });
    const copy = head.weight;
    expect([copy === original, copy.dtype, copy.requiresGrad]).toEqual([false, 'f32', true]);
    expect(copy.toArray()).toEqual(original.toArray());
    expect(valuesOf(rt(), lora, x)).toEqual(plain);
    const { trainable, all } = lora.summary();
    expect([trainable, all - trainable]).toEqual([2 * (9 + 7) + 24, 9 * 7 + 7 + 24]);
    copy.set(copy.toArray().map((value) => value + 0.123));
    const values = copy.toArray();
    expect(original.bytes()).toEqual(bytes);
    expect(lora.withAdaptersDisabled(() => valuesOf(rt(), lora, x))).toEqual(plain);
    lora.mergeAndUnload();
    expect(head.weight).toBe(original);
    expect([...original.toArray()]).toEqual(rounded('bf16', values));
  });

  test('the plain model comes back frozen where it has 16 bits, with a state dict of its dtypes', () => {
    const model = new Sequential(
      new Embedding(rt(), 6, 9, { dtype: 'f16' }),
      new Linear(rt(), 9, 7, { dtype: 'bf16' }),
    );
    const before = model.stateDict();
    const lora = LoraModel.attach(model, { r: 2, targetModules: ['0', '1'] });
    for (const layer of loraLayersOf(lora)) stir(rt(), layer);
    lora.merge();
    lora.unmerge();
    expect(lora.stateDict().get('1.weight')!.dtype).toBe('BF16');
    lora.unload();
    expect(model.stateDict()).toEqual(before);
    expect(model.parameters().map(({ requiresGrad }) => requiresGrad)).toEqual([false, false, true]);
  });

  test('a base weight in a file is compared by its values, in 16 bits too', async () => {
    const base = new Linear(rt(), 9, 7, { dtype: 'bf16' });
    const lora = LoraModel.attach(new Sequential(base), { r: 2, targetModules: ['0'] });
    const carry = (change: number) => {
      const data = new Uint16Array(base.weight.bytes().buffer);
      data[3]! += change;
      return changedFiles(lora.exportAdapter(), (tensors) =>
        tensors.set('base_model.model.0.base_layer.weight', { shape: [7, 9], data, dtype: 'BF16' }),
      );
    };
    await lora.loadAdapter('same', carry(0));
    expect(lora.adapters).toContain('same');
    await expect(lora.loadAdapter('other', carry(1))).rejects.toThrow("has other values than the base's");
  });
});

/**
 * Adapters over a base of 16 bits: the bits of the same over float32 of its values, in forward, backward and every kind of
 * layer; merges that are rounded once, touch no byte beside the weight and convert each element once; files and plain models.
 */
import { expect, test } from 'vitest';
import { parseSafetensors, type WritableTensor, writeSafetensors } from '../../src/formats/index.js';
import {
  AdapterError,
  Embedding,
  Linear,
  type LoraLayerOptions,
  LoraLinear,
  LoraModel,
  type Module,
  type Runtime,
  Sequential,
  type Tensor,
} from '../../src/index.js';
import { LoraLayer } from '../../src/lora/layer/lora-layer.js';
import { ParameterBlock } from '../../src/tensor/parameter.js';
import { Tensor as TensorClass } from '../../src/tensor/tensor.js';
import { floatOf, nearest } from '../support/halves.js';
import { type AnyLoraLayer, LAYER_KINDS, stir, trainedValues, valuesOf } from '../support/layers.js';
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

const rounded = (dtype: 'f16' | 'bf16', values: ArrayLike<number>): number[] =>
  Array.from(values, (value) => floatOf(dtype, nearest(dtype, value)));

function layersOf(lora: LoraModel<Module>): AnyLoraLayer[] {
  return lora
    .namedModules()
    .flatMap(([, module]) => (module instanceof LoraLayer ? [module as AnyLoraLayer] : []));
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
    const [own, other] = [layersOf(half)[0]!, layersOf(whole)[0]!];
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

  test('a tied table stays as it is while the head is merged, and for good: the head gets its own, of its type', () => {
    const table = new Embedding(rt(), 7, 9, { dtype: 'bf16' });
    const head = new Linear(rt(), 9, 7, { bias: false, weight: table.weight });
    const plain = new Linear(rt(), 9, 7, { bias: false });
    plain.weight.set(table.weight.toArray());
    const lora = LoraModel.attach(new Sequential(table, head), { r: 2, targetModules: ['1'] });
    const [layer] = layersOf(lora);
    stir(rt(), layer!);
    const other = LoraLinear.from(plain, { r: 2 });
    for (const name of ['A', 'B'] as const)
      other.factors('default')[name].set(layer!.factors('default')[name]);
    other.merge();
    const wanted = rounded('bf16', other.weight.toArray());
    const bytes = table.weight.bytes();
    lora.merge();
    expect([layer!.weight.dtype, ...layer!.weight.toArray()]).toEqual(['bf16', ...wanted]);
    expect(table.weight.bytes()).toEqual(bytes);
    lora.mergeAndUnload();
    expect([head.weight.dtype, ...head.weight.toArray()]).toEqual(['bf16', ...wanted]);
    expect(table.weight.bytes()).toEqual(bytes);
  });

  test('a merge touches no byte beside the weight', () => {
    for (const dtype of DTYPES) {
      // 63 elements end two bytes before the next parameter: those two are looked at as well.
      const { parameters } = new ParameterBlock(rt(), [[5], [7, 9], [5]], dtype);
      const [before, weight, after] = parameters as [Tensor, (typeof parameters)[number], Tensor];
      // One layer alone is to hold it: it is merged in place.
      weight.holders = 0;
      const from = before.pointer;
      const room = after.pointer + 16 - from;
      const memory = (): Uint8Array => new Uint8Array(rt().engine.memory.buffer, from, room);
      memory().fill(0xa5);
      weight.set(rt().normal([63]).toArray());
      const held = memory().slice();
      const layer = LoraLinear.from(new Linear(rt(), 9, 7, { weight }), { r: 2 });
      stir(rt(), layer);
      layer.merge();
      const [start, end] = [weight.pointer - from, weight.pointer - from + 126];
      const merged = memory().slice();
      expect(merged.subarray(start, end)).not.toEqual(held.subarray(start, end));
      expect(merged.subarray(0, start)).toEqual(held.subarray(0, start));
      expect(merged.subarray(end)).toEqual(held.subarray(end));
      layer.unmerge();
      expect(memory().slice()).toEqual(held);
    }
  });

  test('a merge converts each element once, to float32 and back', () => {
    const { engine } = rt();
    const { kernels } = engine;
    const counts = { expanded: 0, rounded: 0 };
    const counting = {
      ...kernels,
      gatherRows(...args: Parameters<typeof kernels.gatherRows>): void {
        counts.expanded += args[0] * args[1];
        kernels.gatherRows(...args);
      },
    };
    const { write } = TensorClass.prototype;
    const layer = LoraLinear.from(new Linear(rt(), 300, 520, { dtype: 'bf16' }), { r: 2 });
    stir(rt(), layer);
    Object.defineProperty(engine, 'kernels', { value: counting, configurable: true, writable: true });
    TensorClass.prototype.write = function (elements) {
      if (this.dtype === 'bf16') counts.rounded += elements.length;
      return write.call(this, elements);
    };
    try {
      layer.merge();
    } finally {
      TensorClass.prototype.write = write;
      Object.defineProperty(engine, 'kernels', { value: kernels, configurable: true, writable: true });
    }
    expect(counts).toEqual({ expanded: 300 * 520, rounded: 300 * 520 });
  });

  test('a safe merge refuses what the type cannot hold; nothing is merged then', () => {
    const base = new Linear(rt(), 2, 2, { dtype: 'f16' });
    base.weight.set([60000, 1, 1, 1]);
    const layer = LoraLinear.from(base, { r: 1, loraAlpha: 1 });
    layer.factors('default').A.set([100, 0]);
    layer.factors('default').B.set([100, 0]);
    const bytes = base.weight.bytes();
    expect(() => layer.merge(undefined, { safe: true })).toThrow(AdapterError);
    expect([base.weight.bytes(), layer.merged]).toEqual([bytes, false]);
    layer.merge();
    expect([...base.weight.toArray()]).toEqual([Number.POSITIVE_INFINITY, 1, 1, 1]);
    layer.unmerge();
    expect(base.weight.bytes()).toEqual(bytes);
  });

  test.each([
    ['pissa', 'alone'],
    ['olora', 'alone'],
    ['pissa', 'tied'],
  ] as const)(
    '%s leaves the rest of the base in float32, and merges for good into its type, %s',
    (initLoraWeights, held) => {
      const base = new Linear(rt(), 9, 7, { dtype: 'bf16' });
      const plain = new Linear(rt(), 9, 7);
      plain.loadStateDict(base.stateDict());
      if (held === 'tied') base.weight.holders++;
      const shared = base.weight;
      const bytes = base.weight.bytes();
      const config = { r: 2, loraAlpha: 2, targetModules: ['0'], initLoraWeights };
      const [half, whole] = [base, plain].map((layer) => LoraModel.attach(new Sequential(layer), config)) as [
        LoraModel<Sequential>,
        LoraModel<Sequential>,
      ];
      const x = rt().normal([5, 9]).keep();
      expect(layersOf(half)[0]!.weight.dtype).toBe('f32');
      expect(base.weight.bytes()).toEqual(bytes);
      expect(valuesOf(rt(), half, x)).toEqual(valuesOf(rt(), whole, x));
      for (const lora of [half, whole]) {
        const { A } = layersOf(lora)[0]!.factors('default');
        A.set(A.toArray().map((value) => value * 1.5));
      }
      half.mergeAndUnload();
      whole.mergeAndUnload();
      expect(base.weight.dtype).toBe('bf16');
      expect([...base.weight.toArray()]).toEqual(rounded('bf16', plain.weight.toArray()));
      expect(base.weight === shared).toBe(held === 'alone');
      if (held === 'tied') expect(shared.bytes()).toEqual(bytes);
    },
  );

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
    for (const layer of layersOf(lora)) stir(rt(), layer);
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
    const files = lora.exportAdapter('default');
    const file = parseSafetensors(files['adapter_model.safetensors']);
    const carry = (change: number) => {
      const tensors = new Map<string, WritableTensor>(
        file.names.map((name) => [name, { shape: file.info(name).shape, data: file.f32(name) }]),
      );
      const data = new Uint16Array(base.weight.bytes().buffer);
      data[3]! += change;
      tensors.set('base_model.model.0.base_layer.weight', { shape: [7, 9], data, dtype: 'BF16' });
      return { ...files, 'adapter_model.safetensors': writeSafetensors(tensors) };
    };
    await lora.loadAdapter('same', carry(0));
    expect(lora.adapters).toContain('same');
    await expect(lora.loadAdapter('other', carry(1))).rejects.toThrow("has other values than the base's");
  });
});

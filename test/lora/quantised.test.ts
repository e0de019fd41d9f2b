/**
 * Adapters over a quantised base: the bits of the same over float32 of its values in every kind of layer, at ranks on every side
 * of the tiles; what takes values out of a base or puts them into one; merges that were asked for, and what is left of a delta.
 */
import { expect, test } from 'vitest';
import {
  parseSafetensors,
  quantise,
  type WritableTensor,
  writeSafetensors,
} from '../../src/formats/index.js';
import {
  AdapterError,
  Conv2d,
  createRuntime,
  Embedding,
  Linear,
  LoraConv2d,
  LoraEmbedding,
  type LoraLayerOptions,
  LoraLinear,
  LoraModel,
  type MergedWeight,
  type MergeOptions,
  type Parameter,
  type Runtime,
  Sequential,
  type Tensor,
} from '../../src/index.js';
import { DTYPE_INFO, type QuantisedDType } from '../../src/values/dtypes.js';
import { expandedValues, QUANTISED, quantised } from '../support/blocks.js';
import { stir, trainedValues, valuesOf } from '../support/layers.js';
import { expectSame } from '../support/numbers.js';
import { describeRuntimes } from '../support/runtimes.js';

type Layer = LoraLinear | LoraEmbedding;

interface Shape {
  readonly name: string;
  /** Of the weight, in a type whose blocks have so many elements. */
  readonly shape: (elements: number) => [number, number];
  readonly base: (rt: Runtime, weight: Parameter) => Linear | Embedding;
  readonly input: (rt: Runtime, elements: number) => Tensor;
}

const SHAPES: readonly Shape[] = [
  {
    name: 'Linear',
    shape: (elements) => [35, elements],
    base: (rt, weight) => new Linear(rt, weight.shape[1]!, 35, { weight }),
    input: (rt, elements) => rt.normal([5, elements]).keep(),
  },
  {
    name: 'Linear, fan in fan out',
    shape: (elements) => [9, elements],
    base: (rt, weight) => new Linear(rt, 9, weight.shape[1]!, { weight, fanInFanOut: true }),
    input: (rt) => rt.normal([30, 9]).keep(),
  },
  {
    name: 'Embedding',
    shape: (elements) => [11, elements],
    base: (rt, weight) => new Embedding(rt, 11, weight.shape[1]!, { weight }),
    input: (rt) => rt.tensor(Int32Array.of(0, 10, 3, 3, 7, 1), [3, 2]).keep(),
  },
];

/** A layer over a quantised weight and one over float32 of its values, with the same bias. */
function bases(rt: Runtime, dtype: QuantisedDType, { shape, base }: Shape): [Linear, Linear] {
  const weight = quantised(rt, dtype, shape(DTYPE_INFO[dtype].elements));
  const plain = rt.parameter(expandedValues(weight), weight.shape);
  const made = [weight, plain].map((one) => base(rt, one)) as [Linear, Linear];
  made[1].bias?.set(made[0].bias!);
  return made;
}

/** The two under adapters of the same values, with the same dropout masks. */
function twins(rt: Runtime, dtype: QuantisedDType, kind: Shape, options: LoraLayerOptions): [Layer, Layer] {
  const { layers } = rt.engine;
  const [own, other] = bases(rt, dtype, kind).map((base) => {
    rt.engine.layers = layers;
    return kind.name === 'Embedding'
      ? LoraEmbedding.from(base as unknown as Embedding, options)
      : LoraLinear.from(base, options);
  }) as [Layer, Layer];
  expect(own.factors('default').magnitude?.toArray()).toEqual(other.factors('default').magnitude?.toArray());
  stir(rt, own);
  for (const part of ['A', 'B', 'magnitude'] as const)
    other.factors('default')[part]?.set(own.factors('default')[part]!);
  return [own, other];
}

function expectAll(found: readonly ArrayLike<number>[], wanted: readonly ArrayLike<number>[]): void {
  for (const [i, values] of wanted.entries()) expectSame(found[i]!, values, `list ${i}`);
}

const SMALL = ['q8_0', 'q4_0'] as const;

function attached(layer: Linear, more: object = {}): LoraModel<Sequential> {
  return LoraModel.attach(new Sequential(layer), { r: 2, loraAlpha: 2, targetModules: ['0'], ...more });
}

function layerOf(lora: LoraModel<Sequential>): LoraLinear {
  return lora.model.layers[0] as unknown as LoraLinear;
}

/** ⟨W' - W, Δ⟩ / ⟨Δ, Δ⟩. */
function share(before: Float32Array, wanted: Float32Array, got: ArrayLike<number>): number {
  let [kept, whole] = [0, 0];
  for (const [i, w] of before.entries()) {
    kept += (got[i]! - w) * (wanted[i]! - w);
    whole += (wanted[i]! - w) ** 2;
  }
  return kept / whole;
}

describeRuntimes('adapters over a quantised base', (rt) => {
  test.each(SHAPES)('$name computes the bits of float32 over its values', (kind) => {
    for (const dtype of QUANTISED)
      for (const options of [{ r: 2 }, { r: 3, useDora: true }]) {
        const [own, other] = twins(rt(), dtype, kind, options);
        const x = kind.input(rt(), DTYPE_INFO[dtype].elements);
        const bytes = own.base.weight.bytes();
        expectAll(trainedValues(rt(), own, x), trainedValues(rt(), other, x));
        expect(own.base.weight.grad).toBeNull();
        expectSame(own.base.weight.bytes(), bytes);
        for (const held of [own, other, x]) held.dispose();
      }
  });

  test.each([8, 64, 65])('rank %i, with dropout and without, few rows and many', (r) => {
    for (const dtype of ['q4_1', 'q6_K'] as const)
      for (const [rows, loraDropout] of [
        [2, 0],
        [70, 0.4],
      ] as const) {
        const [own, other] = twins(rt(), dtype, SHAPES[0]!, { r, loraDropout });
        const x = rt().normal([rows, DTYPE_INFO[dtype].elements]).keep();
        expectAll(trainedValues(rt(), own, x), trainedValues(rt(), other, x));
        for (const held of [own, other, x]) held.dispose();
      }
  });

  test.each(QUANTISED)('%s: a merge is refused unless asked for, and nothing is merged then', (dtype) => {
    const [base] = bases(rt(), dtype, SHAPES[0]!);
    const lora = attached(base);
    stir(rt(), layerOf(lora));
    const bytes = base.weight.bytes();
    const { held } = rt().memory();
    for (const merge of [
      () => lora.merge(),
      () => lora.mergeAndUnload(),
      () => layerOf(lora).merge(undefined, { safe: true }),
    ])
      expect(merge).toThrow(AdapterError);
    expect(() => lora.merge()).toThrow(
      `LoraModel.merge: 0: the weight is ${dtype}, expected quantised: 'dequantise' for a merged weight in float32, or 'requantise'`,
    );
    expect(() => lora.merge(undefined, { quantised: 'f32' as 'dequantise' })).toThrow(
      new TypeError("LoraModel.merge: quantised is 'f32', expected 'dequantise' or 'requantise'"),
    );
    if (dtype !== 'q8_0' && dtype !== 'q4_0')
      expect(() => lora.merge(undefined, { quantised: 'requantise' })).toThrow(
        `LoraModel.merge: 0: the weight is ${dtype}, to which nothing is quantised here, expected q8_0 or q4_0`,
      );
    expect([lora.merged, rt().memory().held]).toEqual([false, held]);
    expectSame(base.weight.bytes(), bytes);
  });

  test.each(QUANTISED)(
    '%s: dequantised, the merged weight is the one of float32, and the blocks come back',
    (dtype) => {
      const [base, plain] = bases(rt(), dtype, SHAPES[0]!);
      const [own, other] = [attached(base), attached(plain)];
      stir(rt(), layerOf(own));
      for (const part of ['A', 'B'] as const)
        layerOf(other).factors('default')[part].set(layerOf(own).factors('default')[part]);
      const x = rt().normal([3, base.inFeatures]).keep();
      const [before, bytes, { held }] = [valuesOf(rt(), own, x), base.weight.bytes(), rt().memory()];
      expect(own.verifyMerge(x)).toBe(other.verifyMerge(x));
      const seen: MergedWeight[] = [];
      own.merge(undefined, { quantised: 'dequantise', onMerged: (weights) => void seen.push(...weights) });
      other.merge();
      expect(seen).toEqual([{ path: '0', dtype: 'f32', survived: 1 }]);
      expectSame(layerOf(own).weight.toArray(), plain.weight.toArray());
      expect(valuesOf(rt(), own, x)).toEqual(valuesOf(rt(), other, x));
      expectSame(
        own.withAdaptersDisabled(() => base.weight.bytes()),
        bytes,
      );
      own.unmerge();
      expect([valuesOf(rt(), own, x), base.weight.bytes(), rt().memory().held]).toEqual([
        before,
        bytes,
        held,
      ]);
      // For good the layer has a float32 weight, and the blocks' memory is given back.
      own.mergeAndUnload({ quantised: 'dequantise' });
      expect([base.weight.dtype, base.weight.requiresGrad]).toEqual(['f32', false]);
      expectSame(base.weight.toArray(), plain.weight.toArray());
      base.dispose();
      expect(rt().memory().held).toBeLessThan(held - bytes.length);
    },
  );

  test.each(SMALL)(
    '%s: requantised, the merged blocks are those nearest to the sum, and the report says what is left',
    (dtype) => {
      const [base, plain] = bases(rt(), dtype, SHAPES[0]!);
      const before = plain.weight.toArray() as Float32Array;
      const [own, other] = [attached(base), attached(plain)];
      for (const name of ['default', 'b']) {
        if (name === 'b')
          for (const lora of [own, other]) lora.addAdapter('b', { r: 1, targetModules: ['0'] });
        stir(rt(), layerOf(own), name);
        for (const part of ['A', 'B'] as const)
          layerOf(other).factors(name)[part].set(layerOf(own).factors(name)[part]);
      }
      const bytes = base.weight.bytes();
      const check = (): void => {
        const sum = plain.weight.toArray() as Float32Array;
        expect(base.weight.bytes()).toEqual(quantise(dtype, sum));
        const [layer] = own.report().adapters.find(({ merged }) => merged)!.layers;
        expect(layer!.survived).toBeCloseTo(share(before, sum, base.weight.toArray()), 12);
        expect(own.report().toString()).toContain(' % of the delta survived');
      };
      for (const lora of [own, other]) lora.setAdapter(['default', 'b']);
      own.merge(['default'], { quantised: 'requantise' });
      other.merge(['default']);
      check();
      expect(() => own.merge(['b'], { quantised: 'dequantise' })).toThrow(
        "LoraModel.merge: 0: quantised is 'dequantise' where default are merged with 'requantise', expected the same",
      );
      for (const lora of [own, other]) lora.merge(['b']);
      check();
      for (const lora of [own, other]) lora.unmerge(['default']);
      check();
      own.unmerge();
      expect(base.weight.bytes()).toEqual(bytes);
      expect(own.report().adapters[0]!.layers[0]!.survived).toBeNull();
      other.unmerge();
      const seen: MergedWeight[] = [];
      own.mergeAndUnload({ quantised: 'requantise', onMerged: (weights) => void seen.push(...weights) });
      other.mergeAndUnload();
      const sum = plain.weight.toArray() as Float32Array;
      expect(base.weight.bytes()).toEqual(quantise(dtype, sum));
      expect(seen).toEqual([
        { path: '0', dtype, survived: expect.closeTo(share(before, sum, base.weight.toArray()), 12) },
      ]);
    },
  );

  test.each(SHAPES)(
    '$name merges as float32 over its values does, then rounds where that was asked for',
    (kind) => {
      for (const options of [{ r: 2 }, { r: 3, useDora: true }])
        for (const how of ['dequantise', 'requantise'] as const) {
          const [own, other] = twins(rt(), 'q8_0', kind, options);
          const bytes = own.base.weight.bytes();
          own.merge(undefined, { quantised: how, safe: true });
          other.merge();
          const sum = other.weight.toArray() as Float32Array;
          if (how === 'dequantise') expect([own.weight.dtype, own.weight.toArray()]).toEqual(['f32', sum]);
          else expect([own.weight.dtype, own.weight.bytes()]).toEqual(['q8_0', quantise('q8_0', sum)]);
          own.unmerge();
          expect([own.weight, own.weight.bytes()]).toEqual([own.base.weight, bytes]);
          for (const held of [own, other]) held.dispose();
        }
    },
  );

  test('a grouped convolution sees every channel once it is merged, in the type that was asked for', () => {
    for (const how of ['dequantise', 'requantise'] as const) {
      const weight = quantised(rt(), 'q8_0', [4, 1, 1, 32]);
      const plain = rt().parameter(expandedValues(weight), weight.shape);
      const [own, other] = [weight, plain].map((one) =>
        LoraConv2d.from(new Conv2d(rt(), 2, 4, [1, 32], { groups: 2, bias: false, weight: one }), { r: 2 }),
      ) as [LoraConv2d, LoraConv2d];
      stir(rt(), own);
      for (const part of ['A', 'B'] as const)
        other.factors('default')[part].set(own.factors('default')[part]);
      const x = rt().normal([2, 2, 3, 40]).keep();
      expect(valuesOf(rt(), own, x)).toEqual(valuesOf(rt(), other, x));
      const bytes = weight.bytes();
      own.merge(undefined, { quantised: how });
      other.merge();
      const sum = other.weight.toArray() as Float32Array;
      expect(own.weight.shape).toEqual([4, 2, 1, 32]);
      if (how === 'dequantise') expect(own.weight.toArray()).toEqual(sum);
      else expect(own.weight.bytes()).toEqual(quantise('q8_0', sum));
      own.unmerge();
      expect(weight.bytes()).toEqual(bytes);
    }
  });

  test('what is told of a merge may refuse it, and so may values that blocks cannot hold', () => {
    const [base] = bases(rt(), 'q8_0', SHAPES[0]!);
    const lora = attached(base);
    stir(rt(), layerOf(lora));
    const state = (): unknown[] => [lora.merged, base.weight.bytes(), base.weight.dtype, rt().memory().held];
    const before = state();
    const refuse = (weights: readonly MergedWeight[]): void => {
      throw new Error(`too little: ${weights.length}`);
    };
    for (const merge of [
      (options: MergeOptions) => lora.merge(undefined, options),
      (options: MergeOptions) => lora.mergeAndUnload(options),
      (options: MergeOptions) => layerOf(lora).merge(undefined, options),
    ])
      for (const how of ['dequantise', 'requantise'] as const) {
        expect(() => merge({ quantised: how, onMerged: refuse })).toThrow('too little: 1');
        expect(state()).toEqual(before);
      }
    const { A } = layerOf(lora).factors('default');
    A.set(A.toArray().map(() => 1e30));
    expect(() => lora.merge(undefined, { quantised: 'requantise' })).toThrow(
      /LoraModel\.merge: 0: the merged weight does not go into q8_0: quantise: value \d+ is/,
    );
    expect(state()).toEqual(before);
  });

  test('a tied table stays as it is while the head over it is merged, and for good', () => {
    for (const how of ['dequantise', 'requantise'] as const) {
      const weight = quantised(rt(), 'q8_0', [9, 32]);
      const table = new Embedding(rt(), 9, 32, { weight });
      const head = new Linear(rt(), 32, 9, { weight, bias: false });
      const lora = LoraModel.attach(new Sequential(table, head), { r: 2, targetModules: ['1'] });
      stir(rt(), lora.layer('1') as LoraLinear);
      const bytes = weight.bytes();
      lora.merge(undefined, { quantised: how });
      const merged = lora.layer('1').weight;
      expect([merged.dtype, weight.bytes()]).toEqual([how === 'dequantise' ? 'f32' : 'q8_0', bytes]);
      expect(merged.toArray()).not.toEqual(weight.toArray());
      lora.mergeAndUnload();
      expect([head.weight, table.weight]).toEqual([merged, weight]);
      expect(weight.bytes()).toEqual(bytes);
    }
  });

  test.each(['pissa', 'pissa_niter_4', 'olora'] as const)(
    '%s is refused by name: what it leaves would be a whole weight in float32',
    (initLoraWeights) => {
      for (const dtype of QUANTISED) {
        const [base] = bases(rt(), dtype, SHAPES[0]!);
        const bytes = base.weight.bytes();
        const state = (): unknown[] => [rt().memory().held, rt().engine.layers, String(base.weight.bytes())];
        const before = state();
        const named = `initLoraWeights '${initLoraWeights}' on a weight of ${dtype}`;
        expect(() => attached(base, { initLoraWeights })).toThrow(AdapterError);
        expect(() => attached(base, { initLoraWeights })).toThrow(`LoraModel.attach: 0: ${named}`);
        expect(() => LoraLinear.from(base, { initLoraWeights })).toThrow(named);
        expect(state()).toEqual(before);
        // One that takes nothing out goes on.
        const lora = attached(base, { initLoraWeights: 'orthogonal' });
        expectSame(
          lora.withAdaptersDisabled(() => base.weight.bytes()),
          bytes,
        );
        base.dispose();
        lora.dispose();
      }
    },
  );

  test('a saved module is trained as a float32 copy, and moves back as asked', () => {
    for (const how of ['dequantise', 'requantise'] as const) {
      const weight = quantised(rt(), 'q4_0', [3, 32]);
      const head = new Linear(rt(), 32, 3, { weight, bias: false });
      const model = new Sequential(new Linear(rt(), 32, 32, { bias: false }), head);
      const x = rt().normal([4, 32]).keep();
      const [plain, bytes] = [valuesOf(rt(), model, x), weight.bytes()];
      const lora = LoraModel.attach(model, { r: 2, targetModules: ['0'], modulesToSave: ['1'] });
      const copy = head.weight;
      expect([copy === weight, copy.dtype, copy.requiresGrad]).toEqual([false, 'f32', true]);
      expect(copy.toArray()).toEqual(expandedValues(weight));
      expect(lora.withAdaptersDisabled(() => valuesOf(rt(), lora, x))).toEqual(plain);
      const values = copy.toArray().map((value) => value + 0.123) as Float32Array;
      copy.set(values);
      expect(() => lora.mergeAndUnload()).toThrow('LoraModel.mergeAndUnload: 1.weight: the weight is q4_0');
      expect([head.weight, weight.bytes()]).toEqual([copy, bytes]);
      const seen: MergedWeight[] = [];
      lora.mergeAndUnload({ quantised: how, onMerged: (weights) => void seen.push(...weights) });
      expect(seen.map(({ path, dtype }) => [path, dtype])).toEqual([
        ['1.weight', how === 'dequantise' ? 'f32' : 'q4_0'],
      ]);
      if (how === 'dequantise') {
        expect([head.weight.dtype, head.weight.requiresGrad, weight.disposed]).toEqual(['f32', false, true]);
        expect(head.weight.toArray()).toEqual(values);
      } else expect([head.weight, weight.bytes()]).toEqual([weight, quantise('q4_0', values)]);
    }
  });

  test('a saved head that is tied to a table gets a weight of its own for good, and the table stays as it is', () => {
    for (const dtype of ['f32', 'q8_0'] as const)
      for (const how of ['dequantise', 'requantise'] as const) {
        const blocks = quantised(rt(), 'q8_0', [9, 32]);
        const weight = dtype === 'f32' ? rt().parameter(blocks.toArray(), [9, 32]) : blocks;
        const table = new Embedding(rt(), 9, 32, { weight });
        const head = new Linear(rt(), 32, 9, { weight, bias: false });
        const model = new Sequential(table, new Linear(rt(), 32, 32), head);
        const lora = LoraModel.attach(model, { r: 2, targetModules: ['1'], modulesToSave: ['2'] });
        head.weight.set(head.weight.toArray().map((value) => value * 1.5));
        const ids = rt()
          .tensor(Int32Array.of(0, 8, 3), [3])
          .keep();
        const [bytes, wanted] = [weight.bytes(), valuesOf(rt(), lora, ids)];
        lora.mergeAndUnload({ quantised: how });
        expect([table.weight, head.weight === weight, head.weight.dtype]).toEqual([
          weight,
          false,
          how === 'requantise' ? dtype : 'f32',
        ]);
        expectSame(weight.bytes(), bytes);
        if (head.weight.dtype === 'f32') expectSame(valuesOf(rt(), model, ids), wanted);
        expect(head.weight.requiresGrad).toBe(dtype === 'f32');
        model.dispose();
      }
  });

  test('a base weight in a file is compared by its values', async () => {
    const [base] = bases(rt(), 'q5_1', SHAPES[0]!);
    const lora = attached(base);
    const files = lora.exportAdapter('default');
    const file = parseSafetensors(files['adapter_model.safetensors']);
    const carry = (change: number) => {
      const tensors = new Map<string, WritableTensor>(
        file.names.map((name) => [name, { shape: file.info(name).shape, data: file.f32(name) }]),
      );
      const data = expandedValues(base.weight);
      data[3]! += change;
      tensors.set('base_model.model.0.base_layer.weight', { shape: [35, 32], data });
      return { ...files, 'adapter_model.safetensors': writeSafetensors(tensors) };
    };
    await lora.loadAdapter('same', carry(0));
    expect(lora.adapters).toContain('same');
    await expect(lora.loadAdapter('other', carry(1))).rejects.toThrow("has other values than the base's");
    const state = lora.stateDict();
    expect(state.get('0.weight')!.dtype).toBe('Q5_1');
    const bytes = base.weight.bytes();
    lora.loadStateDict(state);
    lora.unload();
    expect(base.weight.bytes()).toEqual(bytes);
  });
});

test('DoRA reads a frozen weight whole once, not at every forward, and again where something has changed', async () => {
  for (const dtype of ['f32', 'q8_0'] as const) {
    using rt = await createRuntime({ threads: 1, seed: 3 });
    const weight = quantised(rt, 'q8_0', [6, 64]);
    const own = dtype === 'q8_0' ? weight : rt.parameter(weight.toArray(), weight.shape);
    const layer = LoraLinear.from(new Linear(rt, 64, 6, { weight: own, bias: false }), {
      r: 2,
      useDora: true,
    });
    stir(rt, layer);
    const { engine } = rt;
    const { kernels } = engine;
    let read = 0;
    const counting = {
      ...kernels,
      rowNorms(...args: Parameters<typeof kernels.rowNorms>): void {
        read += args[0];
        kernels.rowNorms(...args);
      },
    };
    Object.defineProperty(engine, 'kernels', { value: counting, configurable: true, writable: true });
    const x = rt.normal([3, 64]).keep();
    const { A } = layer.factors('default');
    const seen: number[] = [];
    const forward = (): number[] => {
      const before = read;
      const values = valuesOf(rt, layer, x);
      seen.push(read - before);
      return values;
    };
    const first = forward();
    expect(forward()).toEqual(first);
    rt.scope(() => layer.forward(x).backward(rt.zeros([3, 6])));
    expect(forward()).toEqual(first);
    expect(seen).toEqual([6, 0, 0]);
    const values = A.toArray();
    A.set(values.map((value) => value * 2));
    expect(forward()).not.toEqual(first);
    A.set(values);
    expect(forward()).toEqual(first);
    layer.setScale('default', 0.5);
    expect(forward()).not.toEqual(first);
    layer.setScale('default', 1);
    expect(forward()).toEqual(first);
    layer.merge(undefined, { quantised: 'requantise' });
    forward();
    layer.unmerge();
    expect(forward()).toEqual(first);
    own.writeBytes(own.bytes().fill(0, 0, 34));
    expect(forward()).not.toEqual(first);
    expect(seen.slice(3)).toEqual([6, 6, 6, 6, 0, 6, 6]);
  }
});

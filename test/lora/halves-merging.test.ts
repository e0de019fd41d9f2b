/** Merges into a base of 16 bits touch no byte beside the weight, convert each element once, and leave shared weights alone. */
import { expect, test } from 'vitest';
import {
  AdapterError,
  Embedding,
  Linear,
  LoraLinear,
  LoraModel,
  Sequential,
  type Tensor,
} from '../../src/index.js';
import { ParameterBlock } from '../../src/tensor/parameter.js';
import { Tensor as TensorClass } from '../../src/tensor/tensor.js';
import { rounded } from '../support/halves.js';
import { loraLayersOf, stir, valuesOf } from '../support/layers.js';
import { describeRuntimes } from '../support/runtimes.js';

const DTYPES = ['f16', 'bf16'] as const;

describeRuntimes('adapters over 16 bits', (rt) => {
  test('a tied table stays as it is while the head is merged, and for good: the head gets its own, of its type', () => {
    const table = new Embedding(rt(), 7, 9, { dtype: 'bf16' });
    const head = new Linear(rt(), 9, 7, { bias: false, weight: table.weight });
    const plain = new Linear(rt(), 9, 7, { bias: false });
    plain.weight.set(table.weight.toArray());
    const lora = LoraModel.attach(new Sequential(table, head), { r: 2, targetModules: ['1'] });
    const [layer] = loraLayersOf(lora);
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
      expect(loraLayersOf(half)[0]!.weight.dtype).toBe('f32');
      expect(base.weight.bytes()).toEqual(bytes);
      expect(valuesOf(rt(), half, x)).toEqual(valuesOf(rt(), whole, x));
      for (const lora of [half, whole]) {
        const { A } = loraLayersOf(lora)[0]!.factors('default');
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
});

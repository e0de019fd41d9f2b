/** Layers over weights in GGUF's blocks: the bits of the float32 layer over the same values, forward and backward; memory; state dicts. */
import { expect, test } from 'vitest';
import { parseSafetensors, writeSafetensors } from '../../src/formats/index.js';
import {
  Conv2d,
  createRuntime,
  Embedding,
  Linear,
  type Module,
  OutOfMemoryError,
  type Parameter,
  type Runtime,
  Sequential,
  type Tensor,
} from '../../src/index.js';
import { DTYPE_INFO, type QuantisedDType } from '../../src/values/dtypes.js';
import { expandedValues, QUANTISED, quantised } from '../support/blocks.js';
import { expectSame } from '../support/numbers.js';
import { describeRuntimes } from '../support/runtimes.js';

/** A float32 parameter of a quantised one's values, frozen like it. */
function plainOf(rt: Runtime, weight: Parameter): Parameter {
  return rt.parameter(expandedValues(weight), weight.shape, { requiresGrad: false });
}

/** y, and the gradient of x where it takes one. */
function run(rt: Runtime, layer: Linear | Embedding | Conv2d, x: Tensor): ArrayLike<number>[] {
  x.grad = null;
  return rt.scope(() => {
    const y = layer.forward(x);
    if (x.dtype === 'i32') return [y.toArray()];
    y.backward(
      rt.tensor(
        Float32Array.from({ length: y.size }, (_, i) => Math.sin(i)),
        y.shape,
      ),
    );
    return [y.toArray(), x.grad!.toArray()];
  });
}

describeRuntimes('layers with quantised weights', (rt) => {
  test.each(QUANTISED)('%s: a Linear computes the bits of float32 over its values', (dtype) => {
    const { elements } = DTYPE_INFO[dtype];
    // Few rows, many, both layouts: every path of the products. One row may meet blocks as they lie, see below.
    for (const rows of [2, 5, 70])
      for (const fanInFanOut of [false, true]) {
        const [K, N] = fanInFanOut ? [37, elements] : [elements, 37];
        const weight = quantised(rt(), dtype, fanInFanOut ? [K, N] : [N, K]);
        const options = { fanInFanOut, bias: false };
        const layer = new Linear(rt(), K, N, { ...options, weight });
        const plain = new Linear(rt(), K, N, { ...options, weight: plainOf(rt(), weight) });
        const x = rt().normal([rows, K]).keep();
        x.requiresGrad = true;
        const [found, wanted] = [run(rt(), layer, x), run(rt(), plain, x)];
        for (const [i, values] of wanted.entries()) expectSame(found[i]!, values);
        expect([weight.requiresGrad, weight.grad]).toEqual([false, null]);
        for (const held of [layer, plain, x]) held.dispose();
      }
  });

  test.each(QUANTISED)('%s: one row is as near to float32 over its values as a sum can be', (dtype) => {
    const { elements: K } = DTYPE_INFO[dtype];
    const weight = quantised(rt(), dtype, [37, K]);
    const layer = new Linear(rt(), K, 37, { bias: false, weight });
    const plain = new Linear(rt(), K, 37, { bias: false, weight: plainOf(rt(), weight) });
    const x = rt().normal([1, K]).keep();
    x.requiresGrad = true;
    const [[y, dx], [wanted, other]] = [layer, plain].map((one) => run(rt(), one, x)) as [
      Float32Array[],
      Float32Array[],
    ];
    expect(dx).toEqual(other);
    const [xs, ws] = [x.toArray(), weight.toArray()];
    for (const [n, value] of y!.entries()) {
      let size = 0;
      for (let k = 0; k < K; k++) size += Math.abs(xs[k]! * ws[n * K + k]!);
      expect(Math.abs(value - wanted![n]!)).toBeLessThanOrEqual(2 * (K + 2) * 2 ** -23 * size);
    }
  });

  test.each(QUANTISED)('%s: a table and the head tied to it', (dtype) => {
    const { elements } = DTYPE_INFO[dtype];
    const weight = quantised(rt(), dtype, [9, elements]);
    const copy = plainOf(rt(), weight);
    const ids = rt()
      .tensor(Int32Array.of(0, 8, 3, 3, 7), [5])
      .keep();
    const [one, other] = [weight, copy].map((shared) => {
      const table = new Embedding(rt(), 9, elements, { weight: shared });
      const head = new Linear(rt(), elements, 9, { weight: shared, bias: false });
      return [
        run(rt(), table, ids),
        rt().scope(() => head.forward(table.forward(ids)).toArray()),
        shared.holders,
      ];
    });
    expect(one).toEqual(other);
  });

  test('a convolution whose windows are whole blocks is expanded for the call', () => {
    const weight = quantised(rt(), 'q8_0', [3, 2, 1, 32]);
    const make = (own: Parameter): Conv2d => new Conv2d(rt(), 2, 3, [1, 32], { weight: own, bias: false });
    const x = rt().normal([2, 2, 3, 40]).keep();
    x.requiresGrad = true;
    expect(run(rt(), make(weight), x)).toEqual(run(rt(), make(plainOf(rt(), weight)), x));
    expect(() => new Conv2d(rt(), 2, 3, 3, { dtype: 'q8_0' })).toThrow(
      'Conv2d: shape is [3, 2, 3, 3], expected rows of whole blocks of 32 for q8_0',
    );
  });

  test('a new layer of a quantised dtype is zero, frozen, and leaves other layers the bits they have', () => {
    const { layers } = rt().engine;
    const head = new Linear(rt(), 64, 5, { dtype: 'q4_1' });
    const table = new Embedding(rt(), 5, 64, { dtype: 'q8_0', paddingIdx: 1 });
    expect(rt().engine.layers - layers).toBe(3);
    for (const { weight } of [head, table]) {
      expect(weight.requiresGrad).toBe(false);
      expect(weight.toArray().every((value) => value === 0)).toBe(true);
    }
    rt().engine.layers = layers;
    expect(head.bias!.toArray()).toEqual(new Linear(rt(), 64, 5, {}).bias!.toArray());
    expect(() => new Linear(rt(), 65, 5, { dtype: 'q4_1' })).toThrow(RangeError);
    expect(() => new Embedding(rt(), 5, 32, { dtype: 'q4_K' })).toThrow(
      'Embedding: shape is [5, 32], expected rows of whole blocks of 256 for q4_K',
    );
  });

  test('a state dict holds the blocks, which go back into a parameter of their type alone', () => {
    const make = (dtype: QuantisedDType): Module =>
      new Sequential(new Linear(rt(), 256, 3, { dtype, bias: false }));
    for (const dtype of QUANTISED) {
      const [from, to] = [make(dtype), make(dtype)];
      from.parameters()[0]!.set(quantised(rt(), dtype, [3, 256]));
      const state = from.stateDict();
      const entry = state.get('0.weight')!;
      expect([entry.dtype, entry.data]).toEqual([dtype.toUpperCase(), from.parameters()[0]!.bytes()]);
      to.loadStateDict(state);
      expect(to.parameters()[0]!.bytes()).toEqual(entry.data);
      const other = make(dtype === 'q8_0' ? 'q4_0' : 'q8_0');
      expect(() => other.loadStateDict(state)).toThrow(RangeError);
      expect(() => new Sequential(new Linear(rt(), 256, 3, { bias: false })).loadStateDict(state)).toThrow(
        RangeError,
      );
      const numbers = { '0.weight': { shape: [3, 256], data: new Float32Array(768) } };
      expect(() => to.loadStateDict(numbers)).toThrow(
        `Sequential.loadStateDict: 0.weight: got numbers for ${dtype}, expected the bytes of its blocks`,
      );
      expect(to.parameters()[0]!.bytes()).toEqual(entry.data);
      // A file of tensors has no type for it.
      expect(() => writeSafetensors(state)).toThrow(/0\.weight/);
    }
    const half = new Sequential(new Linear(rt(), 4, 3, { dtype: 'f16', bias: false }));
    expect(parseSafetensors(writeSafetensors(half.stateDict())).info('0.weight').dtype).toBe('F16');
  });
});

test('a quantised weight takes the bytes of its blocks, and a product over it no copy in float32', async () => {
  const [N, K] = [2048, 1024];
  // As float32 the weight would take 8 MiB.
  using rt = await createRuntime({ maxMemoryMB: 7, threads: 1 });
  const before = rt.memory().held;
  const layer = new Linear(rt, K, N, { dtype: 'q4_0', bias: false });
  expect(rt.memory().held - before).toBe((N * K * 18) / 32);
  expect(() => rt.zeros([N, K])).toThrow(OutOfMemoryError);
  for (const rows of [1, 30, 70])
    rt.scope(() => {
      const x = rt.zeros([rows, K], { requiresGrad: true });
      layer.forward(x).backward(rt.zeros([rows, N]));
      expect(x.grad!.toArray().every((value) => value === 0)).toBe(true);
    });
});

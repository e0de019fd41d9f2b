/** Layers whose weight has 16 bits: the bits of the float32 layer over the same values, forward and backward; state dicts and files. */
import { expect, test } from 'vitest';
import { parseSafetensors, writeSafetensors } from '../../src/formats/index.js';
import {
  Adam,
  Conv2d,
  clipGradNorm,
  Embedding,
  Linear,
  type Module,
  type Runtime,
  Sequential,
  SGD,
  type Tensor,
} from '../../src/index.js';
import { floatOf, nearest } from '../support/halves.js';
import { describeRuntimes } from '../support/runtimes.js';

interface Kind {
  readonly name: string;
  readonly make: (rt: Runtime, options: object) => Linear | Conv2d | Embedding;
  readonly input: (rt: Runtime) => Tensor;
}

const conv = (given: object) => (rt: Runtime, options: object) =>
  new Conv2d(rt, 4, 6, [3, 2], { ...given, ...options });
const images = (rt: Runtime): Tensor => rt.normal([2, 4, 7, 6]).keep();

/** Sizes on every path of the products: few rows, many, a depth that is no multiple of anything. */
const KINDS: readonly Kind[] = [
  ...[1, 5, 70].flatMap((rows) =>
    [false, true].map(
      (fanInFanOut): Kind => ({
        name: `Linear of ${rows} rows${fanInFanOut ? ', fan in fan out' : ''}`,
        make: (rt, options) => new Linear(rt, 67, 35, { fanInFanOut, ...options }),
        input: (rt) => rt.normal([rows, 67]).keep(),
      }),
    ),
  ),
  {
    name: 'Embedding',
    make: (rt, options) => new Embedding(rt, 11, 7, { paddingIdx: 3, ...options }),
    input: (rt) => rt.tensor(Int32Array.of(0, 10, 3, 3, 7, 1), [3, 2]).keep(),
  },
  { name: 'Conv2d', make: conv({ stride: [2, 1], padding: 1 }), input: images },
  { name: 'Conv2d of 2 groups', make: conv({ groups: 2, bias: false }), input: images },
];

/** y, and the gradients of x and the bias. */
function run(rt: Runtime, layer: Linear | Conv2d | Embedding, x: Tensor): unknown[] {
  x.grad = null;
  return rt.scope(() => {
    const y = layer.forward(x);
    const dy = rt.tensor(
      Float32Array.from({ length: y.size }, (_, i) => Math.sin(i)),
      y.shape,
    );
    const bias = 'bias' in layer ? layer.bias : null;
    if (bias !== null) bias.grad = null;
    if (y.requiresGrad) y.backward(dy);
    return [y.toArray(), x.grad?.toArray() ?? null, bias?.grad?.toArray() ?? null];
  });
}

describeRuntimes('layers with weights of 16 bits', (rt) => {
  for (const dtype of ['f16', 'bf16'] as const) {
    test.each(KINDS)(`${dtype}: $name computes the bits of float32 over its values`, ({ make, input }) => {
      const half = make(rt(), { dtype });
      expect([half.weight.dtype, half.weight.requiresGrad]).toEqual([dtype, false]);
      const whole = make(rt(), {});
      whole.weight.requiresGrad = false;
      whole.weight.set(half.weight.toArray());
      if ('bias' in half && half.bias !== null && 'bias' in whole) whole.bias!.set(half.bias);
      const x = input(rt());
      if (x.dtype === 'f32') x.requiresGrad = true;
      const found = run(rt(), half, x);
      expect(found).toEqual(run(rt(), whole, x));
      if (x.dtype === 'f32') expect(found[1]).not.toBeNull();
      expect(half.weight.grad).toBeNull();
    });
  }

  test('a new weight is what float32 would have been drawn as, rounded', () => {
    for (const { make } of KINDS) {
      const { layers } = rt().engine;
      const whole = make(rt(), {});
      const after = rt().engine.layers;
      rt().engine.layers = layers;
      const half = make(rt(), { dtype: 'bf16' });
      expect(rt().engine.layers).toBe(after);
      const wanted = [...whole.weight.toArray()].map((value) => floatOf('bf16', nearest('bf16', value)));
      expect([...half.weight.toArray()]).toEqual(wanted);
      if ('bias' in half && half.bias !== null)
        expect(half.bias.toArray()).toEqual((whole as Linear).bias!.toArray());
    }
  });

  test('a state dict keeps the dtype, a file has its bits, and loading rounds into the dtype that is there', () => {
    const model = (options: object): Module =>
      new Sequential(new Linear(rt(), 5, 3, options), new Embedding(rt(), 4, 3, options));
    const from = model({ dtype: 'bf16' });
    const state = from.stateDict();
    expect([...state.values()].map(({ dtype }) => dtype)).toEqual(['BF16', 'F32', 'BF16']);
    const file = parseSafetensors(writeSafetensors(state));
    expect(file.info('0.weight').dtype).toBe('BF16');
    expect(new Uint16Array(file.bytes('0.weight').buffer)).toEqual(state.get('0.weight')!.data);
    expect(file.f32('0.weight')).toEqual(from.parameters()[0]!.toArray());
    for (const options of [{ dtype: 'bf16' }, {}]) {
      const to = model(options);
      to.loadStateDict(state);
      for (const [i, parameter] of to.parameters().entries())
        expect(parameter.toArray()).toEqual(from.parameters()[i]!.toArray());
      expect(to.parameters()[0]!.dtype).toBe('dtype' in options ? 'bf16' : 'f32');
    }
    // Values, as a file's reader gives them, are rounded; the same number of words of another dtype are numbers.
    const narrow = model({ dtype: 'f16' });
    narrow.loadStateDict(from.stateDict());
    const values = [...from.parameters()[0]!.toArray()];
    expect([...narrow.parameters()[0]!.toArray()]).toEqual(
      values.map((value) => floatOf('f16', nearest('f16', value))),
    );
    const words = { shape: [3, 5], data: new Uint16Array(15).fill(2), dtype: 'U16' };
    narrow.loadStateDict({ '0.weight': words }, { strict: false });
    expect([...narrow.parameters()[0]!.toArray()]).toEqual(Array(15).fill(2));
  });

  test('optimisers refuse a weight of 16 bits, and clipping has nothing to clip there', () => {
    const layer = new Linear(rt(), 3, 2, { dtype: 'bf16' });
    for (const make of [() => new SGD([layer.weight]), () => new Adam([layer.bias!, layer.weight])])
      expect(make).toThrow(/\[2, 3\] bf16 is frozen, expected parameters that require gradients/);
    expect(clipGradNorm([layer.weight], 1)).toBe(0);
  });

  test('a weight that is shared brings its dtype, one option that says another is refused', () => {
    const weight = rt().parameter(null, [6, 4], { dtype: 'f16' });
    expect(weight.holders).toBe(0);
    const [embedding, head] = [new Embedding(rt(), 6, 4, { weight }), new Linear(rt(), 4, 6, { weight })];
    expect([embedding.weight, head.weight, weight.holders]).toEqual([weight, weight, 2]);
    for (const make of [
      () => new Linear(rt(), 4, 6, { weight, dtype: 'bf16' }),
      () => new Embedding(rt(), 6, 4, { weight, dtype: 'f32' }),
    ])
      expect(make).toThrow(/weight is f16, expected (bf16|f32)/);
    const ids = rt().parameter(null, [6, 4], { dtype: 'i32' });
    expect(() => new Linear(rt(), 4, 6, { weight: ids })).toThrow(
      'Linear: weight is i32, expected f32, f16, bf16',
    );
    expect(() => new Linear(rt(), 4, 6, { dtype: 'i32' as 'f32' })).toThrow(
      "Linear: dtype is 'i32', expected 'f32', 'f16', 'bf16'",
    );
    expect(weight.holders).toBe(2);
  });
});

/** Tensors and parameters of every dtype: values in and out, sizes in memory, bytes piece by piece, and what refuses them. */
import { expect, test } from 'vitest';
import { dequantise } from '../../src/formats/index.js';
import { add, createRuntime, gelu, relu, reshape, type Tensor } from '../../src/index.js';
import { allFinite, nonFiniteBlock } from '../../src/tensor/finite.js';
import { ParameterBlock } from '../../src/tensor/parameter.js';
import { DTYPE_INFO } from '../../src/values/dtypes.js';
import { QUANTISED, quantised } from '../support/blocks.js';
import { floatOf, nearest } from '../support/halves.js';
import { expectSame } from '../support/numbers.js';
import { describeRuntimes } from '../support/runtimes.js';

const VALUES = [1, -2.5, 3.14172, 1e-7, 65504, -0.1, 2049.0001];

test('a tensor takes the bytes of its dtype', async () => {
  using rt = await createRuntime();
  // Beyond the size classes, so that what is held is what was asked for.
  const shape = [512, 1024];
  const held = (make: () => Tensor): number => {
    const before = rt.memory().held;
    using _tensor = make();
    return rt.memory().held - before;
  };
  const [whole, half] = [held(() => rt.zeros(shape)), held(() => rt.zeros(shape, { dtype: 'bf16' }))];
  expect(half * 2).toBe(whole);
  expect(held(() => rt.parameter(null, shape, { dtype: 'f16' }))).toBe(half);
  expect(held(() => rt.tensor(new Float32Array(512 * 1024), shape, { dtype: 'f16' }))).toBe(half);
});

describeRuntimes('dtypes of 16 bits', (rt) => {
  test.each(['f16', 'bf16'] as const)(
    '%s: values round once, to the nearest, and come back as float32',
    (dtype) => {
      const wanted = VALUES.map((value) => floatOf(dtype, nearest(dtype, value)));
      const tensor = rt().tensor(VALUES, [7, 1], { dtype });
      expect(tensor.dtype).toBe(dtype);
      expect(tensor.toArray()).toEqual(Float32Array.from(wanted));
      expect(tensor.copyTo(new Float32Array(7))).toEqual(Float32Array.from(wanted));
      // Of a float32 array, its own values are rounded.
      const floats = Float32Array.from(VALUES);
      expect([...rt().tensor(floats, [7], { dtype }).toArray()]).toEqual(
        [...floats].map((value) => floatOf(dtype, nearest(dtype, value))),
      );
      for (const same of [tensor.detach(), reshape(tensor, [1, 7])]) {
        expect(same.dtype).toBe(dtype);
        expect([...same.toArray()]).toEqual(wanted);
      }
      const other = rt().zeros([7, 1], { dtype });
      expect([...other.toArray()]).toEqual(VALUES.map(() => 0));
      expect([...other.set(tensor).toArray()]).toEqual(wanted);
      expect([...other.set(VALUES.map((v) => -v)).toArray()]).toEqual(wanted.map((v) => -v));
      expect(rt().tensor([VALUES[2]!], [1], { dtype }).item()).toBe(wanted[2]);
      expect([...rt().tensor(BigInt64Array.of(-3n, 256n), [2], { dtype }).toArray()]).toEqual([-3, 256]);
    },
  );

  test.each(['f32', 'f16', 'bf16', 'i32'] as const)(
    '%s: bytes fill a parameter piece by piece, and nothing beside it',
    (dtype) => {
      const width = dtype === 'f32' || dtype === 'i32' ? 4 : 2;
      const [before, weight, after] = new ParameterBlock(rt(), [[3], [5, 7], [3]], dtype).parameters;
      for (const neighbour of [before!, after!]) neighbour.set([1, 2, 3]);
      const bytes = Uint8Array.from({ length: 35 * width }, (_, i) => (i * 37) % 120);
      // Pieces of odd lengths: an element's bytes may come apart.
      for (let at = 0, n = 1; at < bytes.length; at += n, n = (n * 3) % 17)
        weight!.writeBytes(bytes.subarray(at, at + n), at);
      const { version } = weight!.storage;
      expect(weight!.bytes()).toEqual(bytes);
      expect(weight!.writeBytes(new Uint8Array(0), bytes.length).storage.version).toBe(version + 1);
      if (dtype === 'f16' || dtype === 'bf16') {
        const words = [...new Uint16Array(bytes.buffer)];
        expect([...weight!.toArray()]).toEqual(words.map((bits) => floatOf(dtype, bits)));
      } else
        expect(weight!.toArray()).toEqual(new (dtype === 'f32' ? Float32Array : Int32Array)(bytes.buffer));
      for (const neighbour of [before!, after!]) expect([...neighbour.toArray()]).toEqual([1, 2, 3]);
      expect(() => weight!.writeBytes(bytes, 1)).toThrow(
        `Tensor.writeBytes: ${bytes.length} bytes at 1, expected at most ${bytes.length - 1} of ${bytes.length} for [5, 7] ${dtype}`,
      );
      expect(() => weight!.writeBytes(new Uint8Array(1), bytes.length)).toThrow(RangeError);
      expect(() => weight!.writeBytes(bytes, -1)).toThrow(RangeError);
      expect(() => weight!.writeBytes(Float32Array.of(1) as never)).toThrow(TypeError);
      expect(weight!.bytes()).toEqual(bytes);
    },
  );

  test('a parameter of float32 trains unless it is asked not to; of another dtype it is frozen from birth', () => {
    expect(rt().parameter([1, 2]).requiresGrad).toBe(true);
    expect(rt().parameter([1, 2], [2, 1], { requiresGrad: false }).requiresGrad).toBe(false);
    for (const dtype of ['f16', 'bf16', 'i32'] as const) {
      const parameter = rt().parameter([1, 2], [2], { dtype });
      expect([parameter.requiresGrad, parameter.dtype, ...parameter.toArray()]).toEqual([false, dtype, 1, 2]);
      expect(() => {
        parameter.requiresGrad = true;
      }).toThrow(new TypeError(`Tensor.requiresGrad: dtype is ${dtype}, expected f32`));
      expect(() => rt().parameter([1], [1], { dtype, requiresGrad: true })).toThrow(TypeError);
      expect(() => rt().tensor([1], [1], { dtype, requiresGrad: true })).toThrow(TypeError);
    }
    expect(() => rt().parameter(null)).toThrow(TypeError);
    expect(() => rt().parameter([1, 2], [3])).toThrow(
      'Runtime.parameter: data has 2 elements, expected 3 for [3]',
    );
    // It lives until it is disposed of, whatever scope it was made in.
    expect(
      rt()
        .scope(() => [rt().parameter([5])][0]!)
        .item(),
    ).toBe(5);
    const kept = { parameter: rt().parameter([1]) };
    rt().scope(() => {
      kept.parameter = rt().parameter([6]);
    });
    expect(kept.parameter.item()).toBe(6);
  });

  test('what cannot take 16 bits says so, and an integer that they cannot hold is refused', () => {
    const half = rt().tensor([1, 2, 3, 4], [2, 2], { dtype: 'bf16' });
    const whole = rt().zeros([2, 2]);
    for (const call of [() => add(half, whole), () => relu(half), () => gelu(half), () => whole.set(half)])
      expect(call).toThrow(/bf16, expected f32/);
    expect(() => half.copyTo(new Int32Array(4))).toThrow('expected a Float32Array');
    expect(() => rt().tensor(BigInt64Array.of(1n, 257n), [2], { dtype: 'bf16' })).toThrow(
      'Runtime.tensor: element 1 is 257, expected an integer that bf16 holds exactly',
    );
    expect(() => rt().tensor(BigInt64Array.of(10n ** 6n), [1], { dtype: 'f16' })).toThrow(RangeError);
    expect(() => rt().tensor([1], [1], { dtype: 'q2_K' as 'f32' })).toThrow(
      "Runtime.tensor: dtype is 'q2_K', expected 'f32', 'f16', 'bf16', 'i32', 'q8_0', 'q4_0'",
    );
  });

  test('an integer of 64 bits goes into 16 bits where they hold it, whatever its size', () => {
    for (const [dtype, bits, most] of [
      ['f16', 11, 65504n],
      ['bf16', 8, 2n ** 63n],
    ] as const)
      for (const [shift, odd] of [0n, 1n, 4n, 5n, 30n, 50n].flatMap((by) =>
        [127n, 129n, 255n, 257n, 2047n, 2049n].map((n) => [by, n]),
      )) {
        const value = (odd! << shift!) * (odd! % 3n === 0n ? -1n : 1n);
        if (value >= 2n ** 63n || value < -(2n ** 63n)) continue;
        const fits = odd!.toString(2).length <= bits && (value < 0n ? -value : value) <= most;
        const make = (): Tensor => rt().tensor(BigInt64Array.of(value), [1], { dtype });
        if (fits) expect(make().item()).toBe(Number(value));
        else expect(make, `${dtype} ${value}`).toThrow(RangeError);
      }
  });
});

describeRuntimes('quantised dtypes', (rt) => {
  test.each(QUANTISED)(
    '%s: bytes fill a parameter piece by piece, and come back as the values that formats give',
    (dtype) => {
      const { elements } = DTYPE_INFO[dtype];
      // More elements than are expanded at a time.
      const shape = [40, 256];
      const filled = quantised(rt(), dtype, shape);
      const bytes = filled.bytes();
      expect(bytes.length).toBe((40 * 256 * DTYPE_INFO[dtype].bytes) / elements);
      const [before, weight, after] = new ParameterBlock(rt(), [[elements], shape, [elements]], dtype)
        .parameters;
      const neighbour = quantised(rt(), dtype, [elements], 9).bytes();
      for (const beside of [before!, after!]) beside.writeBytes(neighbour);
      for (let at = 0, n = 1; at < bytes.length; at += n, n = (n * 3) % 1717)
        weight!.writeBytes(bytes.subarray(at, at + n), at);
      expectSame(weight!.bytes(), bytes);
      const values = dequantise(dtype, bytes);
      expectSame(weight!.toArray(), values);
      expectSame(weight!.copyTo(new Float32Array(40 * 256)), values);
      for (const beside of [before!, after!]) expect(beside.bytes()).toEqual(neighbour);
      const same = reshape(weight!, [20, 512]);
      expect(same.dtype).toBe(dtype);
      expectSame(same.detach().toArray(), values);
      expectSame(rt().parameter(null, shape, { dtype }).set(weight!).bytes(), bytes);
      expect(
        rt()
          .zeros(shape, { dtype })
          .toArray()
          .every((value) => value === 0),
      ).toBe(true);
    },
  );

  test.each(QUANTISED)(
    '%s: what is no row of whole blocks, no frozen parameter, or made of numbers is refused',
    (dtype) => {
      const { elements } = DTYPE_INFO[dtype];
      const whole = `expected rows of whole blocks of ${elements} for ${dtype}`;
      for (const shape of [[elements, elements + 1], [4, 1], [], [elements, 8, 4]]) {
        const shown = `shape is [${shape.join(', ')}], ${whole}`;
        expect(() => rt().parameter(null, shape, { dtype })).toThrow(
          new RangeError(`Runtime.parameter: ${shown}`),
        );
        expect(() => rt().zeros(shape, { dtype })).toThrow(new RangeError(`Runtime.zeros: ${shown}`));
      }
      const weight = rt().parameter(null, [2, elements], { dtype });
      expect(() => reshape(weight, [elements, 2])).toThrow(`reshape: shape is [${elements}, 2], ${whole}`);
      expect(weight.requiresGrad).toBe(false);
      expect(() => {
        weight.requiresGrad = true;
      }).toThrow(new TypeError(`Tensor.requiresGrad: dtype is ${dtype}, expected f32`));
      expect(() => rt().parameter(null, [elements], { dtype, requiresGrad: true })).toThrow(TypeError);
      const numbers = new Float32Array(2 * elements);
      for (const [where, call] of [
        ['Runtime.tensor', () => rt().tensor(numbers, [2, elements], { dtype })],
        ['Runtime.parameter', () => rt().parameter(numbers, [2, elements], { dtype })],
        ['Tensor.set', () => weight.set(numbers)],
      ] as const)
        expect(call).toThrow(
          new TypeError(
            `${where}: got numbers for ${dtype}, expected the bytes of its blocks, by writeBytes()`,
          ),
        );
      expect(() => weight.set(rt().zeros([2, elements]))).toThrow(
        `Tensor.set: source is f32, expected ${dtype}`,
      );
      expect(() => relu(weight)).toThrow(new TypeError(`relu: x is ${dtype}, expected f32`));
    },
  );

  test.each(QUANTISED)(
    '%s: a scale or minimum that is not finite is found, in the first block that has one',
    (dtype) => {
      const { elements, bytes } = DTYPE_INFO[dtype];
      const weight = quantised(rt(), dtype, [2, elements]);
      expect([allFinite(weight), nonFiniteBlock(weight)]).toEqual([true, -1]);
      const places = weight.bytes();
      for (const block of [1, 0])
        for (let at = 0; at + 1 < bytes; at++)
          // Infinity, and a negative NaN.
          for (const half of at % 7 === 0 ? [0x7c00, 0xfc01] : [0xfc01]) {
            weight.writeBytes(Uint8Array.of(half & 255, half >> 8), block * bytes + at);
            const values = dequantise(dtype, weight.bytes());
            const found = nonFiniteBlock(weight);
            const first = values.findIndex((value) => !Number.isFinite(value));
            // A scale of infinity times zero is NaN: whatever the numbers are, some value shows it.
            expect(found, `${at}`).toBe(first === -1 ? -1 : Math.floor(first / elements));
            expect(allFinite(weight)).toBe(found === -1);
            weight.writeBytes(places);
          }
    },
  );
});

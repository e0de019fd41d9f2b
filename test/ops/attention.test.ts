/** causalAttention as an operation: against its float64 twin, caches, packed rows, windows, threads, memory. */
import { expect, test } from 'vitest';
import { attention } from '../../reference/transformer.js';
import {
  type AttentionOptions,
  causalAttention,
  mul,
  type Runtime,
  rotaryTable,
  rotate,
  sum,
  type Tensor,
} from '../../src/index.js';
import { apart } from '../support/layers.js';
import { describeRuntimes, gradientError } from '../support/runtimes.js';

interface Shape {
  readonly B: number;
  readonly T: number;
  readonly S: number;
  readonly D: number;
}

function draw(
  rt: Runtime,
  { B, T, S, D }: Shape,
  { heads, kvHeads = heads }: AttentionOptions,
): [Tensor, Tensor, Tensor] {
  return [rt.normal([B, T, heads * D]), rt.normal([B, S, kvHeads * D]), rt.normal([B, S, kvHeads * D])];
}

function twin([q, k, v]: readonly Tensor[], { B, T, S, D }: Shape, options: AttentionOptions): Float64Array {
  return attention(
    {
      ...{ B, T, S, D, heads: options.heads, kvHeads: options.kvHeads ?? options.heads },
      scale: options.scale ?? 1 / Math.sqrt(D),
      window: options.window ?? 0,
      offset: options.offset ?? 0,
      starts: options.starts === undefined ? null : (options.starts as Int32Array),
    },
    { q: q!.toArray(), k: k!.toArray(), v: v!.toArray() },
  ).y;
}

describeRuntimes('causalAttention', (rt) => {
  test.each<[string, Shape, AttentionOptions]>([
    ['one head', { B: 2, T: 17, S: 17, D: 12 }, { heads: 1 }],
    ['grouped heads', { B: 2, T: 33, S: 33, D: 64 }, { heads: 6, kvHeads: 2 }],
    ['a window and a scale', { B: 1, T: 40, S: 40, D: 20 }, { heads: 2, window: 7, scale: 0.5 }],
    ['packed rows', { B: 1, T: 6, S: 6, D: 8 }, { heads: 2, starts: Int32Array.of(0, 0, 2, 2, 2, 5) }],
    ['behind a cache', { B: 2, T: 3, S: 50, D: 16 }, { heads: 4, kvHeads: 1, offset: 40 }],
  ])('is its float64 twin: %s', (_, shape, options) => {
    const inputs = draw(rt(), shape, options);
    const y = causalAttention(...inputs, options);
    expect(y.shape).toEqual(inputs[0].shape);
    expect(apart(y.toArray(), twin(inputs, shape, options))).toBeLessThan(5e-6);
  });

  test('a token after another over a cache gives the bits of all at once, and reads nothing behind them', () => {
    const shape = { B: 2, T: 19, S: 19, D: 16 };
    const options = { heads: 6, kvHeads: 2 };
    const [q, k, v] = draw(rt(), shape, options);
    const whole = causalAttention(q, k, v, options).toArray();
    const part = (x: Tensor, from: number, count: number): number[] => {
      const [, T, width] = x.shape as [number, number, number];
      const values = x.toArray();
      return [0, 1].flatMap((b) => [
        ...values.subarray((b * T + from) * width, (b * T + from + count) * width),
      ]);
    };
    for (const [offset, count] of [
      [0, 5],
      [5, 1],
      [6, 13],
    ] as const) {
      const room = 24;
      const cache = (x: Tensor): Tensor => {
        const width = x.shape[2]!;
        const seen = offset + count;
        const values = part(x, 0, seen);
        const rows = [0, 1].flatMap((b) => [
          ...values.slice(b * seen * width, (b + 1) * seen * width),
          ...new Array<number>((room - seen) * width).fill(Number.NaN),
        ]);
        return rt().tensor(rows, [2, room, width]);
      };
      const own = rt().tensor(part(q, offset, count), [2, count, q.shape[2]!]);
      const y = causalAttention(own, cache(k), cache(v), { ...options, offset });
      const wanted = rt().tensor(whole, q.shape);
      expect([...y.toArray()]).toEqual(part(wanted, offset, count));
    }
  });

  test('packed rows give what each gives alone', () => {
    const options = { heads: 4, kvHeads: 2 };
    const [q, k, v] = draw(rt(), { B: 1, T: 21, S: 21, D: 12 }, options);
    const ends = [9, 10, 21];
    const starts = Int32Array.from({ length: 21 }, (_, t) => [0, ...ends].findLast((end) => end <= t)!);
    const packed = causalAttention(q, k, v, { ...options, starts }).toArray();
    const given = causalAttention(q, k, v, { ...options, starts: rt().tensor(starts) }).toArray();
    expect(given).toEqual(packed);
    for (const [i, to] of ends.entries()) {
      const from = i === 0 ? 0 : ends[i - 1]!;
      const own = (x: Tensor): Tensor => {
        const width = x.shape[2]!;
        return rt().tensor(x.toArray().slice(from * width, to * width), [1, to - from, width]);
      };
      const alone = causalAttention(own(q), own(k), own(v), options).toArray();
      expect(apart(alone, packed.slice(from * 48, to * 48))).toBeLessThan(2e-6);
    }
  });

  test.each<[string, Shape, AttentionOptions]>([
    ['grouped heads', { B: 2, T: 5, S: 5, D: 3 }, { heads: 4, kvHeads: 2 }],
    ['a window', { B: 1, T: 11, S: 11, D: 2 }, { heads: 2, window: 4 }],
    ['packed rows', { B: 2, T: 3, S: 3, D: 4 }, { heads: 1, starts: Int32Array.of(0, 1, 1, 0, 0, 2) }],
    ['behind a cache', { B: 1, T: 2, S: 12, D: 3 }, { heads: 2, kvHeads: 1, offset: 4 }],
  ])('gradients against differences: %s', (_, shape, options) => {
    const inputs = draw(rt(), shape, options);
    for (const input of inputs) input.keep().requiresGrad = true;
    const other = rt().normal(inputs[0].shape).keep();
    for (const input of inputs) {
      const { error, largest: top } = gradientError(rt(), input, () =>
        sum(mul(causalAttention(...inputs, options), other)),
      );
      expect(top).toBeGreaterThan(0.1);
      expect(error).toBeLessThan(5e-3 * top);
    }
  });

  test('gradients of one tensor that is queries, keys and values', () => {
    const [x] = draw(rt(), { B: 1, T: 5, S: 5, D: 4 }, { heads: 2 });
    x.keep().requiresGrad = true;
    const other = rt().normal([1, 5, 8]).keep();
    for (const [q, k, v] of [
      [x, x, x],
      [other, x, x],
      [x, other, x],
      [x, x, other],
    ] as const) {
      const { error, largest: top } = gradientError(rt(), x, () =>
        sum(mul(causalAttention(q, k, v, { heads: 2 }), other)),
      );
      expect(top).toBeGreaterThan(0.1);
      expect(error).toBeLessThan(5e-3 * top);
    }
  });

  test('memory is constant from the second step on, with and without recording', () => {
    const inputs = draw(rt(), { B: 2, T: 9, S: 9, D: 4 }, { heads: 2 });
    for (const input of inputs) input.keep().requiresGrad = true;
    const options = { heads: 2, starts: new Int32Array(18) };
    const step = (): number => {
      rt().scope(() => sum(causalAttention(...inputs, options)).backward());
      rt().scope(() => rt().noGrad(() => causalAttention(...inputs, options).size));
      return rt().memory().held;
    };
    step();
    const held = step();
    expect(step()).toBe(held);
  });

  test('a window as long as the row, and no row at all', () => {
    const inputs = draw(rt(), { B: 1, T: 9, S: 9, D: 4 }, { heads: 2 });
    const wide = causalAttention(...inputs, { heads: 2, window: 9 }).toArray();
    expect(wide).toEqual(causalAttention(...inputs, { heads: 2 }).toArray());
    expect(
      causalAttention(...draw(rt(), { B: 0, T: 3, S: 3, D: 4 }, { heads: 2 }), { heads: 2 }).shape,
    ).toEqual([0, 3, 8]);
    expect(causalAttention(...draw(rt(), { B: 2, T: 0, S: 3, D: 4 }, { heads: 2 }), { heads: 2 }).size).toBe(
      0,
    );
  });

  test('packed rows whose positions begin anew get the gradients that each gets alone', () => {
    const options = { heads: 4, kvHeads: 2 };
    const [T, D, ends] = [70, 12, [9, 10, 33, 70]];
    const inputs = draw(rt(), { B: 1, T, S: T, D }, options);
    const dy = rt().normal(inputs[0].shape);
    const from = Int32Array.from({ length: T }, (_, t) => [0, ...ends].findLast((end) => end <= t)!);
    const table = rotaryTable(rt(), { headDim: D, length: T, theta: 100 });
    const run = (
      own: readonly Tensor[],
      gradient: Tensor,
      rows?: { starts: Int32Array; positions: Int32Array },
    ) => {
      for (const input of own) input.requiresGrad = true;
      const [q, k] = own.slice(0, 2).map((x) => rotate(x, table, rows?.positions));
      const more = rows === undefined ? {} : { starts: rows.starts };
      causalAttention(q!, k!, own[2]!, { ...options, ...more }).backward(gradient);
      return own.map(({ grad }) => grad!.toArray());
    };
    const packed = run(inputs, dy, { starts: from, positions: from.map((start, t) => t - start) });
    const alone = packed.map((): number[] => []);
    for (const [i, to] of ends.entries()) {
      const start = i === 0 ? 0 : ends[i - 1]!;
      const cut = (x: Tensor): Tensor => {
        const width = x.shape[2]!;
        return rt().tensor(x.toArray().slice(start * width, to * width), [1, to - start, width]);
      };
      for (const [j, gradient] of run(inputs.map(cut), cut(dy)).entries()) alone[j]!.push(...gradient);
    }
    for (const [j, gradient] of packed.entries()) {
      expect(apart(gradient, new Float32Array(gradient.length))).toBeGreaterThan(0.5);
      expect(apart(gradient, alone[j]!)).toBeLessThan(1e-5);
    }
    table.dispose();
  });
});

/**
 * Weights in GGUF's blocks: every run of a row expands to the values that the formats give, bit for bit, nothing beside it is
 * written, and on every path a product has the bits of the float32 product over the expanded weight, forward and backward.
 */
import { expect, test } from 'vitest';
import { gatherRows } from '../../src/engine/matrices.js';
import { NO_RANK, type Weight, weightColumns } from '../../src/engine/operands.js';
import { grainOf } from '../../src/engine/plan.js';
import { DTYPE_INFO } from '../../src/values/dtypes.js';
import { blocksOf, TYPES, type Type } from './block-cases.js';
import { describeBuilds } from './builds.js';
import { weightOperand } from './harness.js';
import { draw, TypedProducts } from './typed-products.js';

test('columns of a quantised weight are cut between its runs of 32, others between lines of the cache', () => {
  for (const type of TYPES) expect(grainOf(16 + 6, DTYPE_INFO[type].code)).toEqual({ rows: 6, columns: 32 });
  expect(grainOf(16 + 6)).toEqual({ rows: 6, columns: 16 });
});

describeBuilds((h) => {
  const products = new TypedProducts(h);
  const place = (type: Type, rows: number, columns: number) => {
    const { data, step, values } = blocksOf(TYPES.indexOf(type), rows, columns);
    const typed: Weight = {
      pointer: h.bytes(data),
      rows,
      columns,
      code: DTYPE_INFO[type].code,
      step,
      from: 0,
    };
    return { typed, values, plain: weightOperand(h.matrix(rows, columns, values)) };
  };

  test.each(TYPES)('%s: every value of every run is the one of the formats, bit for bit', (type) => {
    h.reset();
    const { typed, values } = place(type, 20, 512);
    const y = products.clear(20, 512);
    gatherRows(h.kernels, h.i32(Array.from({ length: 20 }, (_, i) => i)), typed, y);
    const got = h.values(y);
    const wrong = values.findIndex((v, i) => !Object.is(v, got[i]));
    expect(wrong, `${got[wrong]}, expected ${values[wrong]}`).toBe(-1);
    expect(h.intact(y)).toBe(true);
    for (const width of [1, 3, 15, 16, 17, 31, 32, 33, 255, 257]) {
      const part = products.clear(3, width);
      gatherRows(h.kernels, h.i32([19, 0, 7]), { ...typed, columns: width }, part);
      const row = (n: number): number[] => [...values.slice(n * 512, n * 512 + width)];
      expect([...h.values(part)], `${width}`).toEqual([...row(19), ...row(0), ...row(7)]);
      expect(h.intact(part)).toBe(true);
    }
  });

  test.each(TYPES)('%s: forward has the bits of the float32 product on every path', (type) => {
    const { elements } = DTYPE_INFO[type];
    const sizes = [
      [1, 27, elements],
      [7, 25, elements * (512 / elements + 1)],
    ] as const;
    products.forward(sizes, (N, K) => place(type, N, K));
  });

  test.each(TYPES)('%s: the gradient of the input has the bits of the float32 product', (type) => {
    const { elements } = DTYPE_INFO[type];
    const sizes = [
      [1, 33, elements],
      [13, 530, elements],
    ] as const;
    products.inputGradient(sizes, (N, K) => place(type, N, K));
  });

  test.each(TYPES)('%s: columns from inside a block on have the bits of the whole', (type) => {
    const K = 3 * DTYPE_INFO[type].elements;
    for (const [from, columns] of [
      [5, 13],
      [16, 64],
      [31, 34],
      [32, K - 32],
    ] as const)
      for (const path of [16 + 6, 32 + 6, 48]) {
        h.reset();
        const { typed, plain } = place(type, 9, K);
        const dy = h.matrix(3, 9, draw(27, 1));
        const [part, wanted] = [products.clear(3, columns), products.clear(3, columns)];
        const rest = { dy, low: NO_RANK, accumulate: 0 } as const;
        h.backwardInput(path, { ...rest, w: weightColumns(plain, from, columns), dx: wanted });
        h.backwardInput(path, { ...rest, w: weightColumns(typed, from, columns), dx: part });
        products.sameBits(part, wanted, `columns ${from} to ${from + columns}, path ${path}`);
      }
  });
});

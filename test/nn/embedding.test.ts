/** Embedding: values, gradients with repeated ids and a padding row, initialisation, shared weights, messages. */
import { expect, test } from 'vitest';
import { add, Embedding, embedding, Linear, mul, sum } from '../../src/index.js';
import { describeRuntimes, gradientError } from '../support/runtimes.js';
import { wrong } from '../support/wrong.js';

const ids = (values: number[]): Int32Array => Int32Array.from(values);

describeRuntimes('embedding', (rt) => {
  test('rows by number, for ids of any shape', () => {
    const weight = rt().tensor([0, 1, 10, 11, 20, 21], [3, 2]);
    const y = embedding(rt().tensor(ids([2, 0, 0, 1]), [2, 2]), weight);
    expect(y.shape).toEqual([2, 2, 2]);
    expect([...y.toArray()]).toEqual([20, 21, 0, 1, 0, 1, 10, 11]);
    expect([...embedding(rt().tensor(ids([1]), []), weight).toArray()]).toEqual([10, 11]);
    expect(embedding(rt().tensor(ids([]), [0]), weight).shape).toEqual([0, 2]);
  });

  test('the gradient of the weight, against differences, ids repeated', () => {
    const layer = new Embedding(rt(), 5, 7);
    const x = rt()
      .tensor(ids([4, 1, 1, 0, 4, 1]), [3, 2])
      .keep();
    const other = rt().normal([3, 2, 7]).keep();
    const loss = () => sum(mul(mul(layer.forward(x), layer.forward(x)), other));
    const { error, largest } = gradientError(rt(), layer.weight, loss);
    expect(largest).toBeGreaterThan(0.5);
    expect(error).toBeLessThan(5e-3 * largest);
  });

  test('gradients are whole sums over repeated ids; the padding row has none; rows not named have 0', () => {
    const layer = new Embedding(rt(), 4, 3, { paddingIdx: -2 });
    expect(layer.paddingIdx).toBe(2);
    const x = rt().tensor(ids([0, 2, 0, 3]));
    const dy = rt().tensor([1, 2, 3, 9, 9, 9, 10, 20, 30, 5, 6, 7], [4, 3]);
    layer.forward(x).backward(dy);
    expect([...layer.weight.grad!.toArray()]).toEqual([11, 22, 33, 0, 0, 0, 0, 0, 0, 5, 6, 7]);
    layer.forward(x).backward(dy);
    expect([...layer.weight.grad!.toArray()]).toEqual([22, 44, 66, 0, 0, 0, 0, 0, 0, 10, 12, 14]);
  });

  test('a new weight is N(0, 1), its padding row zero', () => {
    const layer = new Embedding(rt(), 200, 50, { paddingIdx: 7 });
    const values = [...layer.weight.toArray()];
    expect(values.slice(350, 400)).toEqual(new Array(50).fill(0));
    const rest = values.filter((v) => v !== 0);
    const mean = rest.reduce((total, v) => total + v, 0) / rest.length;
    const variance = rest.reduce((total, v) => total + (v - mean) ** 2, 0) / rest.length;
    // 9950 draws: four standard errors.
    expect(Math.abs(mean)).toBeLessThan(0.04);
    expect(Math.abs(variance - 1)).toBeLessThan(0.06);
  });

  test('a shared weight collects the gradients of both layers', () => {
    const head = new Linear(rt(), 3, 4, { bias: false });
    const layer = new Embedding(rt(), 4, 3, { weight: head.weight });
    expect(layer.weight).toBe(head.weight);
    const h = layer.forward(rt().tensor(ids([1])));
    const [w, hidden] = [head.weight.toArray(), h.toArray()];
    add(sum(head.forward(h)), sum(h)).backward();
    // d/dw[n,k] of Σ h·wᵀ + Σ h with h = w[1]: h[k] everywhere, and Σ_n w[n,k] + 1 more on row 1.
    const wanted = [...w].map((_, i) => {
      const k = i % 3;
      const columns = [0, 1, 2, 3].reduce((total, n) => total + w[n * 3 + k]!, 0);
      return hidden[k]! + (Math.floor(i / 3) === 1 ? columns + 1 : 0);
    });
    for (const [i, v] of head.weight.grad!.toArray().entries()) expect(v).toBeCloseTo(wanted[i]!, 5);
  });

  test('a frozen weight gets no gradient', () => {
    const layer = new Embedding(rt(), 4, 3);
    layer.weight.requiresGrad = false;
    expect(layer.forward(rt().tensor(ids([1]))).requiresGrad).toBe(false);
  });

  test('messages', () => {
    const layer = new Embedding(rt(), 4, 3);
    const at = (values: number[]) => () => layer.forward(rt().tensor(ids(values)));
    expect(at([0, 4])).toThrow('Embedding.forward: id 1 is 4, expected 0 to 3');
    expect(at([-1])).toThrow(RangeError);
    expect(() => layer.forward(rt().zeros([2]))).toThrow('Embedding.forward: ids is f32, expected i32');
    expect(() => embedding(rt().tensor(ids([0])), rt().zeros([3]))).toThrow(
      'embedding: weight is [3], expected [rows, dim]',
    );
    expect(() => new Embedding(rt(), 4, 3, { paddingIdx: 4 })).toThrow(
      'Embedding: paddingIdx is 4, expected an integer from -4 to 3',
    );
    expect(() => new Embedding(rt(), 4, 3, { weight: new Linear(rt(), 4, 3).weight })).toThrow(
      'Embedding: weight is [3, 4], expected [4, 3]',
    );
    expect(() => new Embedding(rt(), 4, 3, wrong({ padding: 1 }))).toThrow(
      "Embedding: unknown option 'padding', expected one of paddingIdx, weight",
    );
    expect(() => new Embedding(rt(), 4, 3, { weight: wrong(3) })).toThrow(
      'Embedding: weight is 3, expected a Parameter',
    );
  });
});

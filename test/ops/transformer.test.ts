/** rmsNorm, swiglu and rotate as operations: gradients against differences, positions, memory, messages. */
import { expect, test } from 'vitest';
import { rotaryAngle, rotate as rotateTwin } from '../../reference/transformer.js';
import {
  mul,
  RMSNorm,
  type RotaryOptions,
  rmsNorm,
  rotaryTable,
  rotate,
  sum,
  swiglu,
  type Tensor,
} from '../../src/index.js';
import { describeRuntimes, gradientError } from '../support/runtimes.js';
import { leaf } from '../support/tensors.js';
import { wrong } from '../support/wrong.js';

/** f32 differences over steps of 1e-2 carry about 1e-3 of the largest gradient. */
const BOUND = 5e-3;

describeRuntimes('parts of a language model', (rt) => {
  const cases: Record<string, () => { inputs: Tensor[]; y: (inputs: Tensor[]) => Tensor }> = {
    rmsNorm: () => ({
      inputs: [leaf(rt(), [2, 3, 6]), leaf(rt(), [6])],
      y: ([x, w]) => rmsNorm(x!, w!, 0.1),
    }),
    swiglu: () => ({
      inputs: [leaf(rt(), [2, 9]), leaf(rt(), [2, 9])],
      y: ([gate, up]) => swiglu(gate!, up!),
    }),
    'swiglu of one tensor': () => ({ inputs: [leaf(rt(), [2, 9])], y: ([x]) => swiglu(x!, x!) }),
    rotate: () => {
      const table = rotaryTable(rt(), { headDim: 6, length: 9, theta: 20 });
      return { inputs: [leaf(rt(), [2, 3, 12])], y: ([x]) => rotate(x!, table, Int32Array.of(8, 0, 3)) };
    },
  };
  test.each(Object.keys(cases))('gradients of %s against differences', (name) => {
    const { inputs, y } = cases[name]!();
    const other = rt()
      .normal(rt().scope(() => y(inputs).shape))
      .keep();
    for (const input of inputs) {
      const { error, largest } = gradientError(rt(), input, () => sum(mul(y(inputs), other)));
      expect(largest).toBeGreaterThan(0.1);
      expect(error).toBeLessThan(BOUND * largest);
    }
  });

  test('an RMSNorm begins with ones, by the name weight, and adds eps to the mean of squares', () => {
    const layer = new RMSNorm(rt(), 2, { eps: 0.5 });
    expect([...layer.stateDict().keys()]).toEqual(['weight']);
    expect([...layer.weight.toArray()]).toEqual([1, 1]);
    layer.weight.set([1, 10]);
    const y = layer.forward(rt().tensor([3, 4], [1, 1, 2]));
    expect(y.shape).toEqual([1, 1, 2]);
    const rms = Math.sqrt(12.5 + 0.5);
    expect(y.toArray()[0]).toBeCloseTo(3 / rms, 6);
    expect(y.toArray()[1]).toBeCloseTo(40 / rms, 6);
    expect(new RMSNorm(rt(), 4).eps).toBe(1e-6);
  });

  test('positions are those given for a row, for every row of the batch alike, or counted from 0', () => {
    const [headDim, theta] = [4, 50];
    const table = rotaryTable(rt(), { headDim, length: 8, theta });
    const x = rt().normal([2, 3, 8]);
    const twin = (position: (row: number) => number): Float64Array =>
      rotateTwin(x.toArray(), 2, headDim, (row, j) => rotaryAngle(position(row), j, headDim, theta));
    const all = Int32Array.of(7, 0, 1, 2, 5, 3);
    const pairs: [Tensor, (row: number) => number][] = [
      [rotate(x, table), (row) => row % 3],
      [rotate(x, table, Int32Array.of(4, 5, 7)), (row) => [4, 5, 7][row % 3]!],
      [rotate(x, table, all), (row) => all[row]!],
      [rotate(x, table, rt().tensor(all)), (row) => all[row]!],
    ];
    for (const [y, position] of pairs)
      for (const [i, v] of twin(position).entries()) expect(y.toArray()[i]).toBeCloseTo(v, 5);
    expect([...rotate(x, table, new Int32Array(3)).toArray()]).toEqual([...x.toArray()]);
  });

  test('factors divide the frequencies, attentionFactor multiplies both tables', () => {
    const options: RotaryOptions = { headDim: 4, length: 5, theta: 9 };
    const [factors, attentionFactor] = [Float32Array.of(1, 8), 1.5];
    const table = rotaryTable(rt(), { ...options, factors, attentionFactor });
    expect([table.headDim, table.length, table.cos.shape]).toEqual([4, 5, [5, 2]]);
    for (let p = 0; p < 5; p++)
      for (let j = 0; j < 2; j++) {
        const angle = rotaryAngle(p, j, 4, 9, factors[j]);
        expect(table.cos.toArray()[2 * p + j]).toBe(Math.fround(1.5 * Math.cos(angle)));
        expect(table.sin.toArray()[2 * p + j]).toBe(Math.fround(1.5 * Math.sin(angle)));
      }
  });

  test('memory is constant from the second step on; a table lives until it is disposed of', () => {
    const before = rt().memory().blocks;
    const table = rt().scope(() => rotaryTable(rt(), { headDim: 4, length: 5, theta: 9 }));
    const layer = new RMSNorm(rt(), 8);
    const x = rt().normal([2, 3, 8]).keep();
    const step = (): number => {
      rt().scope(() => {
        const y = rotate(layer.forward(x), table, Int32Array.of(1, 2, 4));
        sum(swiglu(y, y)).backward();
      });
      return rt().memory().held;
    };
    step();
    const held = step();
    expect(step()).toBe(held);
    layer.weight.grad!.dispose();
    layer.dispose();
    x.dispose();
    table.dispose();
    table.dispose();
    expect(rt().memory().blocks).toBe(before);
  });

  const table = (options: object): unknown =>
    rotaryTable(rt(), { headDim: 4, length: 5, theta: 9, ...options });
  const turned = (shape: number[], positions?: unknown): unknown =>
    rotate(rt().zeros(shape), rotaryTable(rt(), { headDim: 4, length: 5, theta: 9 }), wrong(positions));
  test.each<[string, () => unknown]>([
    ['rmsNorm: x is [2, 4], expected [..., 3]', () => rmsNorm(rt().zeros([2, 4]), rt().zeros([3]))],
    ['rmsNorm: weight is [1, 3], expected [N]', () => rmsNorm(rt().zeros([2, 3]), rt().zeros([1, 3]))],
    ['rmsNorm: eps is -1, expected a number from 0', () => rmsNorm(rt().zeros([3]), rt().zeros([3]), -1)],
    ['RMSNorm.forward: x is [], expected at least', () => new RMSNorm(rt(), 3).forward(rt().zeros([]))],
    ['RMSNorm: size is 0, expected an integer from 1', () => new RMSNorm(rt(), 0)],
    ["RMSNorm: unknown option 'epsilon'", () => new RMSNorm(rt(), 3, wrong({ epsilon: 1 }))],
    ['swiglu: up is [3], expected [2] as gate', () => swiglu(rt().zeros([2]), rt().zeros([3]))],
    ['rotaryTable: headDim is 5, expected an even number', () => table({ headDim: 5 })],
    ['rotaryTable: length is 0, expected an integer from 1', () => table({ length: 0 })],
    ['rotaryTable: theta is 0.5, expected a number from 1', () => table({ theta: 0.5 })],
    ['rotaryTable: factors has 3 elements, expected 2', () => table({ factors: new Float32Array(3) })],
    ['rotaryTable: factors[1] is 0, expected', () => table({ factors: Float32Array.of(1, 0) })],
    ['rotaryTable: factors is [1, 1], expected a Float32Array', () => table({ factors: [1, 1] })],
    ['rotate: x is [2, 3, 6], expected [B, T, heads*4]', () => turned([2, 3, 6])],
    ['rotate: x is [3, 4], expected [B, T, heads*4]', () => turned([3, 4])],
    ['rotate: x is [1, 6, 4], expected at most 5 positions', () => turned([1, 6, 4])],
    ['rotate: positions has 2 elements, expected 3 or 6', () => turned([2, 3, 4], Int32Array.of(0, 1))],
    ['rotate: positions[1] is 5, expected from 0 to 4', () => turned([1, 2, 4], Int32Array.of(0, 5))],
    ['rotate: positions[0] is -1, expected from 0 to 4', () => turned([1, 1, 4], Int32Array.of(-1))],
    ['rotate: positions is [0], expected an Int32Array', () => turned([1, 1, 4], [0])],
    ['rotate: positions is f32, expected i32', () => turned([1, 1, 4], rt().zeros([1]))],
    ['rotate: table is 7, expected what rotaryTable gives', () => rotate(rt().zeros([1, 1, 4]), wrong(7))],
  ])('%s', (words, act) => {
    expect(act).toThrow(words);
  });
});

/** Optimisers over parameters: one call for a block, rates that change, gradients that are forgotten, clipping. */
import { expect, test } from 'vitest';
import {
  Adam,
  AdamW,
  clipGradNorm,
  Linear,
  LoraModel,
  mseLoss,
  mul,
  type Parameter,
  Sequential,
  SGD,
  sum,
} from '../../src/index.js';
import { LAYER_KINDS, stir, valuesOf } from '../support/layers.js';
import { describeRuntimes } from '../support/runtimes.js';

describeRuntimes('optimisers', (rt) => {
  const pull = (parameters: readonly Parameter[]): void => {
    for (const parameter of parameters) rt().scope(() => sum(mul(parameter, parameter)).backward());
  };

  test.each([SGD, Adam, AdamW])('%o over an adapter in one call equals one call a parameter', (Optimizer) => {
    const [one, apart] = [0, 1].map(() => {
      const lora = LoraModel.attach(new Sequential(new Linear(rt(), 5, 3), new Linear(rt(), 3, 2)), {
        r: 2,
        targetModules: 'all-linear',
      });
      for (const [i, p] of lora.trainableParameters().entries())
        p.set(Array.from({ length: p.size }, (_, j) => Math.sin(i + j)));
      return lora.trainableParameters();
    }) as [Parameter[], Parameter[]];
    const whole = [new Optimizer(one, { lr: 0.1 })];
    const single = apart.map((parameter) => new Optimizer([parameter], { lr: 0.1 }));
    for (let step = 0; step < 3; step++) {
      for (const [parameters, optimizers] of [
        [one, whole],
        [apart, single],
      ] as const) {
        for (const optimizer of optimizers) optimizer.zeroGrad();
        pull(parameters);
        for (const optimizer of optimizers) optimizer.step();
      }
    }
    for (const [i, parameter] of one.entries()) expect(parameter.toArray()).toEqual(apart[i]!.toArray());
    for (const optimizer of [...whole, ...single]) optimizer.dispose();
  });

  test('lr may be set; zeroGrad forgets; what has no gradient or is frozen stays', () => {
    const { weight, bias } = new Linear(rt(), 2, 2);
    weight.set([1, 2, 3, 4]);
    const before = bias!.toArray();
    const optimizer = new SGD([weight, bias!], { lr: 0.25, weightDecay: 0.5 });
    pull([weight]);
    optimizer.step();
    // p - 0.25·(2p + 0.5p)
    expect([...weight.toArray()]).toEqual([1, 2, 3, 4].map((v) => v * (1 - 0.625)));
    expect(bias!.toArray()).toEqual(before);
    optimizer.lr = 0;
    optimizer.step();
    expect([...weight.toArray()]).toEqual([1, 2, 3, 4].map((v) => v * (1 - 0.625)));
    optimizer.lr = 1;
    optimizer.zeroGrad();
    expect(weight.grad).toBeNull();
    optimizer.step();
    expect([...weight.toArray()]).toEqual([1, 2, 3, 4].map((v) => v * (1 - 0.625)));
    expect(() => {
      optimizer.lr = -1;
    }).toThrow('SGD.lr is -1');
    expect(optimizer.lr).toBe(1);
  });

  test('the norm has one order of summation, wherever the gradients lie', () => {
    const values = (size: number): Float32Array =>
      Float32Array.from({ length: size }, (_, i) => Math.sin(i) * 10 ** (i % 4));
    const sizes = [
      [3, 5],
      [7, 1],
      [2, 3],
      [1, 1],
    ] as const;
    const model = new Sequential(...sizes.map(([n, m]) => new Linear(rt(), n, m)));
    const apart = model.parameters().map(({ shape }) => {
      rt().zeros([3]).keep();
      return rt().parameter(null, shape);
    });
    const give = (parameters: readonly Parameter[]): number => {
      for (const one of parameters) one.grad = rt().tensor(values(one.size), one.shape);
      return clipGradNorm(parameters, Number.POSITIVE_INFINITY);
    };
    const norm = give(model.parameters());
    expect(give(apart)).toBe(norm);
    const squares = model
      .parameters()
      .map(({ size }) => values(size).reduce((sum, value) => sum + value * value, 0));
    const exact = Math.sqrt(squares.reduce((sum, value) => sum + value, 0));
    expect(Math.abs(norm - exact)).toBeLessThanOrEqual(exact * 16 * 2 ** -23);
  });

  test('clipGradNorm gives the norm and scales what exceeds it', () => {
    const { weight, bias } = new Linear(rt(), 2, 1);
    weight.set([1.5, 0]);
    bias!.set([2]);
    pull([weight, bias!]);
    expect(clipGradNorm([weight, bias!], 10)).toBe(5);
    expect([...weight.grad!.toArray(), ...bias!.grad!.toArray()]).toEqual([3, 0, 4]);
    expect(clipGradNorm([weight, bias!], 1)).toBe(5);
    expect(Math.hypot(...weight.grad!.toArray(), ...bias!.grad!.toArray())).toBeCloseTo(1, 5);
    weight.set([Number.NaN, 0]);
    weight.grad = null;
    pull([weight]);
    expect(clipGradNorm([weight, bias!], 1)).toBeNaN();
  });

  test.each(LAYER_KINDS)('$name trains by every optimiser: each factor moves, and the loss falls', (kind) => {
    for (const Optimizer of [SGD, Adam, AdamW])
      for (const options of [{ r: 2 }, { r: 2, useDora: true }]) {
        const layer = kind.wrap(kind.base(rt()), options);
        stir(rt(), layer);
        const x = kind.input(rt());
        const target = rt().zeros(rt().scope(() => layer.forward(x).shape));
        const { A, B, magnitude } = layer.factors('default');
        const factors = magnitude === null ? [A, B] : [A, B, magnitude];
        const optimizer = new Optimizer(factors, { lr: 1e-3 });
        const before = factors.map((factor) => [...factor.toArray()]);
        const loss = (): number => {
          const y = valuesOf(rt(), layer, x);
          return y.reduce((total, value) => total + value ** 2, 0) / y.length;
        };
        const first = loss();
        rt().scope(() => mseLoss(layer.forward(x), target).backward());
        optimizer.step();
        for (const [i, factor] of factors.entries()) expect([...factor.toArray()]).not.toEqual(before[i]);
        expect(loss()).toBeLessThan(first);
        optimizer.dispose();
      }
  });
});

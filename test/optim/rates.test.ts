/** Learning rates over steps: ways through 0, schedules by a factor, groups that began at 0, and whom an optimiser takes. */
import { expect, test } from 'vitest';
import { AdamW, Linear, LoraModel, type Parameter, Sequential, SGD, sum } from '../../src/index.js';
import { describeRuntimes } from '../support/runtimes.js';

describeRuntimes('learning rates', (rt) => {
  const attach = () => {
    const lora = LoraModel.attach(new Sequential(new Linear(rt(), 4, 3), new Linear(rt(), 3, 2)), {
      r: 2,
      targetModules: 'all-linear',
    });
    return lora;
  };
  const weights = (count: number): Parameter[] =>
    Array.from({ length: count }, () => new Linear(rt(), 1, 1, { bias: false }).weight);
  const groupsOf = (...rates: number[]) => {
    const parameters = weights(rates.length);
    return rates.map((lr, i) => ({ parameters: [parameters[i]!], lr }));
  };

  test('a rate of 0 and back leaves LoRA+ its ratio', () => {
    const optimizer = new AdamW(attach().parameterGroups({ lr: 1e-4, loraPlusLrRatio: 16 }));
    const before = optimizer.lrs;
    expect(before).toEqual([1e-4, 16e-4]);
    optimizer.lr = 0;
    expect(optimizer.lrs).toEqual([0, 0]);
    optimizer.lr = 1e-4;
    expect(optimizer.lrs).toEqual(before);
    optimizer.lr = 3e-5;
    expect(optimizer.lr).toBe(3e-5);
    expect(optimizer.lrs[1]).toBeCloseTo(48e-5, 12);
  });

  test('scaleLr is a multiple of the rates at the start, whatever was set before', () => {
    const optimizer = new SGD(groupsOf(0.1, 0.3));
    for (const factor of [0.5, 0, 0.5, 0.25]) optimizer.scaleLr(factor);
    expect(optimizer.lrs).toEqual([0.1 * 0.25, 0.3 * 0.25]);
    optimizer.lr = 7;
    optimizer.scaleLr(1);
    expect(optimizer.lrs).toEqual([0.1, 0.3]);
  });

  test('a group that began at 0 stays there, and the first that did not speaks for all', () => {
    const optimizer = new SGD(groupsOf(0, 0.2, 0.4));
    expect(optimizer.lr).toBe(0.2);
    optimizer.lr = 0.1;
    expect(optimizer.lrs).toEqual([0, 0.1, 0.2]);
    optimizer.scaleLr(3);
    expect(optimizer.lrs).toEqual([0, 0.2 * 3, 0.4 * 3]);
  });

  test('where every group began at 0 a rate is refused, not forgotten', () => {
    const optimizer = new SGD(weights(1), { lr: 0 });
    optimizer.lr = 0;
    expect(() => {
      optimizer.lr = 0.1;
    }).toThrow('SGD.lr is 0.1, expected 0: every group began at 0 and stays there');
    expect(optimizer.lrs).toEqual([0]);
  });

  test('a refused rate or factor changes none', () => {
    const optimizer = new SGD(groupsOf(1e-300, 1));
    for (const wrong of [-1, Number.NaN, Number.POSITIVE_INFINITY, '1' as unknown as number]) {
      expect(() => optimizer.scaleLr(wrong)).toThrow('SGD.scaleLr: factor is ');
      expect(() => {
        optimizer.lr = wrong;
      }).toThrow('SGD.lr is ');
    }
    expect(() => {
      optimizer.lr = 1e200;
    }).toThrow('SGD.lr takes group 1 from 1 to Infinity, expected finite rates');
    expect(optimizer.lrs).toEqual([1e-300, 1]);
  });

  test('each group moves at its own rate after a rate of 0', () => {
    const groups = groupsOf(0.25, 0.5);
    const parameters = groups.flatMap((group) => group.parameters);
    for (const parameter of parameters) parameter.set([8]);
    const optimizer = new SGD(groups);
    optimizer.lr = 0;
    optimizer.lr = 1;
    for (const parameter of parameters) rt().scope(() => sum(parameter).backward());
    optimizer.step();
    expect(parameters.map((parameter) => parameter.item())).toEqual([7, 6]);
  });

  test('rates stand in the order of the groups, an empty group among them', () => {
    const [group] = groupsOf(0.5);
    const optimizer = new SGD([{ parameters: [], lr: 0.25 }, group!]);
    expect(optimizer.lrs).toEqual([0.25, 0.5]);
    const { parameters } = group!;
    parameters[0]!.set([1]);
    rt().scope(() => sum(parameters[0]!).backward());
    optimizer.step();
    expect(parameters[0]!.item()).toBe(0.5);
  });
});

describeRuntimes('whom an optimiser takes', (rt) => {
  const two = () => new Linear(rt(), 2, 2).parameters() as [Parameter, Parameter];

  test('frozen parameters are refused by number and shape', () => {
    const [weight, bias] = two();
    bias.requiresGrad = false;
    const { blocks } = rt().memory();
    expect(() => new AdamW([weight, bias])).toThrow(
      'AdamW: parameter 1 [2] is frozen, expected parameters that require gradients',
    );
    expect(() => new SGD([{ parameters: [bias] }])).toThrow('SGD: parameter 0 [2] is frozen');
    expect(rt().memory().blocks).toBe(blocks);
  });

  test('parameters of a deleted adapter are refused, at the start and at a step', () => {
    const lora = LoraModel.attach(new Sequential(new Linear(rt(), 4, 3)), { r: 2, targetModules: ['0'] });
    lora.addAdapter('other', { r: 2, targetModules: ['0'] });
    const all = lora.trainableParameters();
    const optimizer = new SGD(all, { lr: 1 });
    rt().scope(() => sum(lora.forward(rt().full([1, 4], 1))).backward());
    const before = all.slice(0, 2).map((parameter) => parameter.toArray());
    lora.deleteAdapter('other');
    expect(() => optimizer.step()).toThrow(
      'SGD.step: a parameter [2, 4] was disposed of, expected live ones',
    );
    expect(all.slice(0, 2).map((parameter) => parameter.toArray())).toEqual(before);
    expect(() => new SGD(all)).toThrow('SGD: parameter 2 [2, 4] was used after dispose()');
  });

  test('what is frozen later stays; where all is frozen a step says so', () => {
    const [weight, bias] = two();
    const optimizer = new SGD([weight, bias], { lr: 1 });
    for (const parameter of [weight, bias]) rt().scope(() => sum(parameter).backward());
    bias.set([5, 5]);
    weight.set([5, 5, 5, 5]);
    bias.requiresGrad = false;
    optimizer.step();
    expect([...weight.toArray(), ...bias.toArray()]).toEqual([4, 4, 4, 4, 5, 5]);
    weight.requiresGrad = false;
    expect(() => optimizer.step()).toThrow('SGD.step: every parameter is frozen');
  });

  test('a hole in a list is no parameter', () => {
    const [weight] = two();
    const holed: Parameter[] = [weight];
    holed[2] = two()[0];
    expect(() => new SGD(holed)).toThrow('SGD: parameter 1 is undefined, expected a Parameter');
    expect(() => new SGD([{ parameters: holed }])).toThrow(
      'SGD: parameter 1 is undefined, expected a Parameter',
    );
  });
});

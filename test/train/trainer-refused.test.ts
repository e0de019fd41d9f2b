/** Options and losses that the Trainer refuses, by name. */
import { expect, test } from 'vitest';
import { Linear, Sequential, SGD, sum } from '../../src/index.js';
import { Trainer, type TrainerOptions } from '../../src/train/index.js';
import { describeRuntimes } from '../support/runtimes.js';
import { drain, makeNet, WIDTH } from '../support/training.js';

describeRuntimes('training', (rt) => {
  test('options that are none, or do not go together, are refused before anything runs', () => {
    const net = new Sequential(new Linear(rt(), 2, 2));
    const loss = () => sum(net.parameters()[0]!);
    const make = (options: Partial<TrainerOptions<number, Sequential>>) => () =>
      new Trainer(net, [1], { loss, ...options });
    for (const [options, message] of [
      [{ noSuch: 1 }, "Trainer: unknown option 'noSuch'"],
      [{ loss: 3 }, 'Trainer: loss is 3, expected a function'],
      [{ optimizer: {} }, 'Trainer: optimizer is Object, expected an SGD, Adam or AdamW'],
      [
        { schedule: 'steep' },
        "Trainer: schedule is 'steep', expected 'constant', 'linear', 'cosine' or a function",
      ],
      [{ schedule: () => 1, warmup: 2 }, 'Trainer: warmup with a schedule of your own'],
      [{ warmup: 2 }, 'Trainer: warmup is 2, expected an integer from 0 to 1'],
      [{ steps: 2, epochs: 2 }, 'Trainer: steps is 2 and epochs is 2, expected one of them'],
      [{ steps: 0 }, 'Trainer: steps is 0'],
      [{ accumulate: 1.5 }, 'Trainer: accumulate is 1.5'],
      [{ clipNorm: -1 }, 'Trainer: clipNorm is -1'],
      [{ shuffle: 1 }, 'Trainer: shuffle is 1, expected a boolean'],
      [{ evaluate: [] }, 'Trainer: evaluate is [], expected at least one batch'],
      [{ earlyStop: 2 }, 'Trainer: earlyStop without evaluations'],
      [{ keepBest: true, evaluate: [1], evaluateEvery: 0 }, 'Trainer: keepBest without evaluations'],
      [{ earlyStop: { patience: 0 }, evaluate: [1] }, 'Trainer: earlyStop: patience is 0'],
      [{ store: { save: 1 } }, 'Trainer: store is Object, expected { save, latest }'],
      [{ resume: true }, 'Trainer: resume without a store'],
      [{ tags: [] }, 'Trainer: tags is []'],
      [{ seed: -1 }, 'Trainer: seed is -1'],
    ] as const)
      expect(make(options as Partial<TrainerOptions<number, Sequential>>), message).toThrow(message);
    expect(() => new Trainer(7 as never, [1], { loss })).toThrow(
      'Trainer: model is 7, expected a Module or LoraModel',
    );
    expect(() => new Trainer(net, [], { loss })).toThrow(
      'Trainer: batches is [], expected at least one batch',
    );
    expect(() => new Trainer(net, 5 as never, { loss })).toThrow('Trainer: batches is 5');
    expect(() => new Trainer(net, { rows: 0, batchSize: 1, batch: () => 1 }, { loss })).toThrow(
      'Trainer: batches: rows is 0',
    );
    const other = new SGD(new Linear(rt(), 3, 1).parameters());
    expect(make({ optimizer: other })).toThrow(
      "Trainer: the optimizer has a parameter [1, 3] that is not the model's",
    );
    for (const one of net.parameters()) one.requiresGrad = false;
    expect(make({})).toThrow('Trainer: nothing in the model trains');
  });

  test.each([
    [3, 'Trainer.run: loss gave 3, expected a Tensor'],
    [Promise.resolve(), 'Trainer.run: loss gave a promise, expected a synchronous function'],
    [{ loss: 1, count: 1 }, 'Trainer.run: loss gave 1, expected a Tensor'],
    [{ sum: null, count: 1 }, 'Trainer.run: loss gave null, expected a Tensor'],
  ])('a loss of %o is refused', async (given, message) => {
    const net = makeNet(rt());
    const trainer = new Trainer(net, [1], { loss: () => given as never });
    await expect(drain(trainer.run())).rejects.toThrow(message);
  });

  test('a loss of several elements, or with a count that is none, is refused', async () => {
    const net = makeNet(rt());
    const run = (give: (loss: ReturnType<typeof sum>) => unknown) =>
      drain(
        new Trainer(net, [1], { loss: () => give(sum(net.forward(rt().zeros([1, WIDTH])))) as never }).run(),
      );
    await expect(run(() => net.forward(rt().zeros([1, WIDTH])))).rejects.toThrow(
      'Trainer.run: loss gave [1, 4] f32, expected one',
    );
    await expect(run((loss) => ({ loss, count: -1 }))).rejects.toThrow('Trainer.run: loss gave the count -1');
    await expect(run((loss) => ({ loss, count: '1' }))).rejects.toThrow(
      "Trainer.run: loss gave the count '1'",
    );
  });
});

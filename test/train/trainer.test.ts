/** The Trainer's loop: steps as a plain loop would make them, accumulation, masks, schedules, signals, memory. */
import { expect, test } from 'vitest';
import {
  AdamW,
  clipGradNorm,
  createRuntime,
  crossEntropy,
  Linear,
  mseLoss,
  type Parameter,
  Sequential,
  SGD,
  scale,
  schedule,
  sum,
} from '../../src/index.js';
import { type StepEvent, type TrainEvent, Trainer, type TrainerOptions } from '../../src/train/index.js';
import { describeRuntimes } from '../support/runtimes.js';
import {
  CLASSES,
  drain,
  inBatches,
  lossOf,
  makeLora,
  makeNet,
  makeRows,
  type Rows,
  WIDTH,
} from '../support/training.js';

const stepsOf = (events: readonly TrainEvent[]): StepEvent[] =>
  events.filter((event): event is StepEvent => event.type === 'step');
const bytesOf = (parameters: readonly Parameter[]): number[][] => parameters.map((one) => [...one.bytes()]);

describeRuntimes('training', (rt) => {
  test('a run is a plain loop over the batches, bit for bit', async () => {
    const batches = inBatches(makeRows(20), [5, 5, 5, 5]);
    const before = rt().randomState();
    const plain = makeLora(rt(), { loraDropout: 0.25 });
    const optimizer = new AdamW(plain.trainableParameters(), { lr: 0.02 });
    const factor = schedule('cosine', 8, 3);
    const losses: number[] = [];
    for (let step = 0; step < 8; step++) {
      const { x, y } = batches[step % 4]!;
      optimizer.scaleLr(factor(step));
      rt().scope(() => {
        const loss = crossEntropy(plain.forward(rt().tensor(x, [5, WIDTH])), rt().tensor(Int32Array.from(y)));
        losses.push(loss.item());
        loss.backward();
      });
      clipGradNorm(plain.trainableParameters(), 0.5);
      optimizer.step();
      optimizer.zeroGrad();
    }
    rt().setRandomState(before);
    const lora = makeLora(rt(), { loraDropout: 0.25 });
    const trainer = new Trainer(lora, batches, {
      loss: lossOf(rt()),
      optimizer: new AdamW(lora.trainableParameters(), { lr: 0.02 }),
      ...{ schedule: 'cosine', warmup: 3, epochs: 2, clipNorm: 0.5, shuffle: false },
    });
    const { events, result } = await drain(trainer.run());
    expect(stepsOf(events).map(({ loss }) => loss)).toEqual(losses);
    expect(bytesOf(lora.trainableParameters())).toEqual(bytesOf(plain.trainableParameters()));
    expect(stepsOf(events).map(({ lr }) => lr)).toEqual(losses.map((_, step) => 0.02 * factor(step)));
    expect(result).toMatchObject({ reason: 'finished', step: 8, best: null, warnings: [] });
    expect(result.history.steps.map(({ step, epoch }) => [step, epoch])).toEqual(
      losses.map((_, i) => [i + 1, i < 4 ? 0 : 1]),
    );
  });

  test.each(['mean', 'sum'] as const)(
    'accumulated batches of 1, 7 and 30 equal one of 38, by their %s',
    async (reduction) => {
      const rows = makeRows(38);
      const grads = async (sizes: readonly number[]) => {
        const before = rt().randomState();
        const lora = makeLora(rt());
        for (const [name, one] of lora.namedParameters())
          if (name.includes('lora_B')) one.set(rt().normal(one.shape));
        rt().setRandomState(before);
        const start = lora.trainableParameters().map((one) => one.toArray());
        const trainer = new Trainer(lora, inBatches(rows, sizes), {
          loss({ x, y }: Rows, model) {
            const logits = model.forward(rt().tensor(x, [y.length, WIDTH]));
            const value = crossEntropy(logits, rt().tensor(Int32Array.from(y)), { reduction });
            return reduction === 'sum' ? { sum: value, count: y.length } : { loss: value, count: y.length };
          },
          optimizer: new SGD(lora.trainableParameters(), { lr: 1 }),
          ...{ accumulate: sizes.length, shuffle: false },
        });
        const { result } = await drain(trainer.run());
        const moved = lora
          .trainableParameters()
          .flatMap((one, i) => [...one.toArray()].map((value, j) => start[i]![j]! - value));
        return { moved, ...result.history.steps[0]! };
      };
      const [whole, parts] = [await grads([38]), await grads([1, 7, 30])];
      expect(parts.count).toBe(38);
      expect(parts.loss).toBeCloseTo(whole.loss, 5);
      expect(parts.gradNorm / whole.gradNorm).toBeCloseTo(1, 5);
      const largest = Math.max(...whole.moved.map(Math.abs));
      expect(largest).toBeGreaterThan(0.1);
      for (const [i, value] of parts.moved.entries())
        expect(Math.abs(value - whole.moved[i]!)).toBeLessThan(1e-5 * largest);
    },
  );

  test('a batch that is masked whole adds nothing, whatever its loss is', async () => {
    const [first, second] = inBatches(makeRows(8), [4, 4]) as [Rows, Rows];
    const masked: Rows = { x: second.x.map(() => 1e30), y: second.y.map(() => -100) };
    const train = async (batches: readonly Rows[], accumulate: number) => {
      const before = rt().randomState();
      const lora = makeLora(rt());
      rt().setRandomState(before);
      const trainer = new Trainer(lora, batches, {
        loss: (batch, model) => {
          const { loss, count } = lossOf(rt())(batch, model) as {
            loss: ReturnType<typeof sum>;
            count: number;
          };
          return { loss: count === 0 ? scale(loss, Number.NaN) : loss, count };
        },
        ...{ accumulate, shuffle: false },
      });
      const { result } = await drain(trainer.run());
      return { parameters: bytesOf(lora.trainableParameters()), steps: result.history.steps };
    };
    const [without, with_] = [await train([first, second], 2), await train([first, masked, second], 3)];
    expect(with_).toEqual(without);
    expect(with_.steps[0]!.count).toBe(8);
    // A step of nothing but masked rows moves nothing, not even by what the moments hold, and counts as a step.
    const [one, more] = [await train([first], 1), await train([first, masked], 1)];
    expect(more.parameters).toEqual(one.parameters);
    expect(more.steps[1]).toEqual({ step: 2, epoch: 0, loss: 0, count: 0, lr: 1e-3, gradNorm: 0 });
  });

  test('where nothing counts at all the run says so', async () => {
    const rows = makeRows(4);
    const trainer = new Trainer(makeLora(rt()), [{ ...rows, y: rows.y.map(() => -100) }], {
      loss: lossOf(rt()),
    });
    await expect(drain(trainer.run())).rejects.toThrow(
      'Trainer.run: nothing counted in 1 steps, expected an unmasked example',
    );
  });

  test('the last window of an epoch is a step of its own, and schedules count steps', async () => {
    const lora = makeLora(rt());
    const seen: number[] = [];
    const trainer = new Trainer(lora, inBatches(makeRows(14), [2, 2, 2, 2, 2, 2, 2]), {
      loss: lossOf(rt()),
      schedule(step) {
        seen.push(step);
        return 1 / (step + 1);
      },
      ...{ accumulate: 3, epochs: 2 },
    });
    expect(trainer.steps).toBe(6);
    const { events } = await drain(trainer.run());
    expect(stepsOf(events).map(({ epoch, count }) => [epoch, count])).toEqual([
      ...[
        [0, 6],
        [0, 6],
        [0, 2],
      ],
      ...[
        [1, 6],
        [1, 6],
        [1, 2],
      ],
    ]);
    expect(seen).toEqual([0, 1, 2, 3, 4, 5]);
    expect(stepsOf(events).map(({ lr }) => lr)).toEqual([1, 2, 3, 4, 5, 6].map((step) => 1e-3 * (1 / step)));
  });

  test('an epoch has every row once, each epoch in an order of its own, the same for the same seed', async () => {
    const rows = makeRows(23);
    const orders = async (seed?: number): Promise<number[][]> => {
      const epochs: number[][] = [];
      const lora = makeLora(rt());
      const source = {
        ...{ rows: 23, batchSize: 4 },
        batch: async (wanted: readonly number[]) => ({
          wanted,
          x: wanted.flatMap((row) => rows.x.slice(row * WIDTH, (row + 1) * WIDTH)),
          y: wanted.map((row) => rows.y[row]!),
        }),
      };
      const trainer = new Trainer(lora, source, {
        loss(batch, model) {
          epochs.push([...batch.wanted]);
          return lossOf(rt())(batch, model);
        },
        ...{ epochs: 2, ...(seed === undefined ? {} : { seed }) },
      });
      await drain(trainer.run());
      return [epochs.slice(0, 6).flat(), epochs.slice(6).flat()];
    };
    const [first, second] = await orders();
    for (const order of [first!, second!])
      expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 23 }, (_, i) => i));
    expect(second).not.toEqual(first);
    expect(await orders(rt().info().seed)).toEqual([first, second]);
    expect((await orders(8))[0]).not.toEqual(first);
  });

  test('a step leaves an event of its own a turn, and a signal ends the run behind the step', async () => {
    const lora = makeLora(rt());
    const control = new AbortController();
    let [turns, steps] = [0, 0];
    const tick = (): void => {
      turns++;
      if (steps < 6) setTimeout(tick, 0);
    };
    const loss = lossOf(rt());
    const trainer = new Trainer(lora, inBatches(makeRows(12), [4, 4, 4]), {
      loss: (batch: Rows, model) => {
        // Longer than a timer waits at least, so that one is due at every turn.
        const due = performance.now() + 2;
        while (performance.now() < due);
        return loss(batch, model);
      },
      epochs: 100,
    });
    tick();
    const run = trainer.run({ signal: control.signal });
    let result: Awaited<ReturnType<typeof run.next>> | null = null;
    for (result = await run.next(); result.done !== true; result = await run.next()) {
      steps++;
      if (steps === 5) control.abort();
    }
    expect(result.value).toMatchObject({ reason: 'aborted', step: 5 });
    expect(steps).toBe(5);
    expect(turns).toBeGreaterThan(2);
    // Without a signal it goes on from there.
    const { value } = await trainer.run().next();
    expect(value).toMatchObject({ type: 'step', step: 6 });
  });

  test('whoever leaves the loop goes on where it was, and two loops at once are refused', async () => {
    const lora = makeLora(rt());
    lora.eval();
    const trainer = new Trainer(lora, inBatches(makeRows(12), [4, 4, 4]), { loss: lossOf(rt()), epochs: 2 });
    const seen: number[] = [];
    for await (const { step } of trainer.run()) {
      seen.push(step);
      expect(lora.training).toBe(true);
      expect(() => trainer.run()).toThrow('Trainer.run: a run is under way');
      expect(() => trainer.restore(new Map())).toThrow('Trainer.restore: a run is under way');
      if (step === 2) break;
    }
    expect(lora.training).toBe(false);
    expect(lora.model.training).toBe(false);
    for await (const { step } of trainer.run()) seen.push(step);
    expect(seen).toEqual([1, 2, 3, 4, 5, 6]);
    expect(trainer.step).toBe(6);
    expect(await drain(trainer.run())).toMatchObject({ events: [], result: { reason: 'finished', step: 6 } });
  });

  test('memory is constant from the third step on', async () => {
    // Of its own: what other tests have dropped is collected some time later.
    const { kernels, threads } = rt().info();
    using own = await createRuntime({ kernels, threads });
    const lora = makeLora(own, { loraDropout: 0.1 }, 0.1);
    const trainer = new Trainer(lora, inBatches(makeRows(24), [8, 8, 8]), {
      loss: lossOf(own),
      ...{ epochs: 20, accumulate: 2, clipNorm: 1, evaluate: inBatches(makeRows(8), [8]), evaluateEvery: 5 },
    });
    const uses: string[] = [];
    for await (const event of trainer.run())
      if (event.type === 'step') uses.push(JSON.stringify(own.memory()));
    expect(uses.length).toBe(40);
    expect([...new Set(uses.slice(2))]).toEqual([uses[2]]);
  });

  test('groups keep their ratio through a schedule that ends at 0', async () => {
    const lora = makeLora(rt());
    const optimizer = new AdamW(lora.parameterGroups({ lr: 1e-3, loraPlusLrRatio: 16 }));
    const warnings: string[] = [];
    const trainer = new Trainer(lora, inBatches(makeRows(8), [4, 4]), {
      loss: lossOf(rt()),
      optimizer,
      schedule: (step) => [1, 0, 0.5, 0][step]!,
      ...{ epochs: 2, onWarning: (text: string) => warnings.push(text) },
    });
    const rates: number[][] = [];
    for await (const event of trainer.run()) if (event.type === 'step') rates.push(optimizer.lrs);
    expect(rates).toEqual([1, 0, 0.5, 0].map((factor) => [1e-3 * factor, 16e-3 * factor]));
    expect(warnings).toEqual(['Trainer.run: step 2: every learning rate is 0, nothing is learnt']);
  });

  test('a plain model trains, by the default optimizer, and a loss without a count weighs every batch alike', async () => {
    const net = makeNet(rt());
    const [a, b] = inBatches(makeRows(10), [2, 8]) as [Rows, Rows];
    const losses: number[] = [];
    const trainer = new Trainer(net, [a, b], {
      loss({ x, y }, model) {
        const target = rt().tensor(
          y.flatMap((label) => Array.from({ length: CLASSES }, (_, i) => Number(i === label))),
          [y.length, CLASSES],
        );
        const loss = mseLoss(model.forward(rt().tensor(x, [y.length, WIDTH])), target);
        losses.push(loss.item());
        return loss;
      },
      ...{ accumulate: 2, epochs: 60 },
    });
    expect(trainer.optimizer.lrs).toEqual([1e-3]);
    const { result } = await drain(trainer.run());
    expect(result.history.steps[0]!.loss).toBeCloseTo((losses[0]! + losses[1]!) / 2, 12);
    expect(result.history.steps.at(-1)!.loss).toBeLessThan(0.7 * result.history.steps[0]!.loss);
  });

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

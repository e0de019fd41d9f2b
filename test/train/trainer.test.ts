/** The Trainer's steps as a plain loop would make them: accumulation, masks, groups, losses without a count, memory. */
import { expect, test } from 'vitest';
import {
  AdamW,
  clipGradNorm,
  createRuntime,
  crossEntropy,
  mseLoss,
  type Parameter,
  SGD,
  scale,
  schedule,
  type sum,
} from '../../src/index.js';
import { Trainer } from '../../src/train/index.js';
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
  stepsOf,
  WIDTH,
} from '../support/training.js';

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
});

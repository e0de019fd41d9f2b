/** What stops a run: numbers that are not finite, and a model that learns nothing; each names its cause and leaves the run as it was. */
import { expect, test } from 'vitest';
import { AdamW, crossEntropy, type Module, mul, SGD, scale, sum, type Tensor } from '../../src/index.js';
import { Trainer, type TrainerOptions, TrainingError } from '../../src/train/index.js';
import { describeRuntimes } from '../support/runtimes.js';
import {
  drain,
  inBatches,
  lossOf,
  MemoryStore,
  makeLora,
  makeRows,
  type Rows,
  textOf,
  WIDTH,
} from '../support/training.js';

const BATCHES = inBatches(makeRows(12), [4, 4, 4]);

describeRuntimes('faults of a run', (rt) => {
  const logits = (model: { forward(x: Tensor): Tensor }, { x, y }: Rows): Tensor =>
    model.forward(rt().tensor(x, [y.length, WIDTH]));
  const train = (
    lora: ReturnType<typeof makeLora>,
    options: Partial<TrainerOptions<Rows, ReturnType<typeof makeLora>>>,
  ) => new Trainer(lora, BATCHES, { loss: lossOf(rt()), shuffle: false, onWarning: () => {}, ...options });

  test('a loss that is not finite names the step, writes nothing, and the run goes on from there when mended', async () => {
    const lora = makeLora(rt(), { loraDropout: 0.2 });
    const store = new MemoryStore();
    let broken = true;
    let calls = 0;
    const trainer = train(lora, {
      loss(batch, model) {
        const { loss, count } = lossOf(rt())(batch, model) as { loss: Tensor; count: number };
        // The second batch of the third step.
        return { loss: broken && ++calls === 6 ? scale(loss, Number.NaN) : loss, count };
      },
      ...{ accumulate: 2, epochs: 2, store, saveEvery: 1 },
    });
    const failed = drain(trainer.run());
    await expect(failed).rejects.toThrow(TrainingError);
    await expect(failed).rejects.toThrow('Trainer.run: step 4: the loss is NaN, expected a finite number');
    await expect(failed).rejects.toMatchObject({ name: 'TrainingError', step: 4 });
    expect(store.saved.map(({ step }) => step)).toEqual([1, 2, 3]);
    expect(textOf(trainer.save())).toEqual(textOf(store.saved.at(-1)!.files));
    expect(lora.trainableParameters().every(({ grad }) => grad === null)).toBe(true);
    broken = false;
    expect((await drain(trainer.run())).result.step).toBe(4);
    // The same as if it had never failed, masks of dropout among it.
    rt().setRandomState({ ...rt().randomState() });
    const calm = makeLora(rt(), { loraDropout: 0.2 });
    const files = store.saved.at(-2)!.files;
    calm.loadStateDict(lora.stateDict());
    const other = train(calm, { accumulate: 2, epochs: 2 });
    other.restore(files);
    await drain(other.run());
    expect(textOf(other.save())).toEqual(textOf(trainer.save()));
  });

  test('parameters and gradients that are not finite are named, with the element', async () => {
    const lora = makeLora(rt());
    const [, second] = lora.namedParameters().filter(([name]) => name.includes('lora_A'));
    second![1].set(second![1].toArray().fill(Number.NaN, 3, 4));
    await expect(drain(train(lora, {}).run())).rejects.toThrow(
      "Trainer.run: step 1: the loss is NaN, expected a finite number; parameter '3.lora_A.default.weight' has NaN at element 3",
    );
    const steep = makeLora(rt());
    const huge = train(steep, {
      loss: (batch, model) => sum(scale(scale(logits(model, batch), 1e30), 1e30 ** 0.2)),
    });
    await expect(drain(huge.run())).rejects.toThrow(TrainingError);
    const fine = makeLora(rt());
    const before = textOf(train(fine, {}).save());
    const steps = train(fine, {
      // The loss is finite, its slope is not.
      loss: (batch, model) =>
        sum(mul(scale(logits(model, batch), 0), rt().full([batch.y.length, 4], Number.POSITIVE_INFINITY))),
    });
    await expect(drain(steps.run())).rejects.toThrow(/^Trainer\.run: step 1: the loss is NaN/);
    const gradient = train(fine, {
      loss(batch, model) {
        const value = sum(logits(model, batch));
        // Finite as a number, infinite times the count.
        return { loss: scale(value, 1e37), count: 1e30 };
      },
      accumulate: 3,
    });
    await expect(drain(gradient.run())).rejects.toThrow(
      /^Trainer\.run: step 1: the gradients' norm is (?:Infinity|NaN), expected a finite number; the gradient of '0\.lora_A\.default\.weight' has (?:-?Infinity|NaN) at element \d+/,
    );
    expect(textOf(train(fine, {}).save())).toEqual(before);
  });

  test('a loss that is cut off from what trains says so', async () => {
    const lora = makeLora(rt());
    const cut = [
      (batch: Rows) => rt().noGrad(() => lossOf(rt())(batch, lora)),
      (batch: Rows) => crossEntropy(logits(lora, batch).detach(), rt().tensor(Int32Array.from(batch.y))),
      () => rt().full([], 1),
    ];
    for (const loss of cut)
      await expect(drain(train(lora, { loss }).run())).rejects.toThrow(
        'Trainer.run: step 1: the loss does not depend on any parameter that trains, expected one computed by the model',
      );
  });

  test('where no byte of what trains has changed the cause is named, and the optimizer is as before', async () => {
    const lora = makeLora(rt());
    const other = makeLora(rt());
    const cases: [Partial<TrainerOptions<Rows, typeof lora>>, string][] = [
      [
        { loss: (batch) => lossOf(rt())(batch, other) },
        'the loss does not reach any of them (another model, or detach() on the way)',
      ],
      [
        {
          optimizer: new SGD(
            lora
              .namedParameters()
              .filter(([name]) => name === '3.lora_A.default.weight')
              .map(([, one]) => one),
          ),
        },
        // B is 0 at the start, so nothing reaches A.
        "every gradient is 0 (of '3.lora_A.default.weight')",
      ],
      [
        { loss: (batch, model) => scale(sum(logits(model, batch)), 0) },
        "every gradient is 0 (of '0.lora_A.default.weight', '0.lora_B.default.weight', '3.lora_A.default.weight' and 1 more)",
      ],
      [
        {
          optimizer: new SGD(
            lora.parameters().filter(({ requiresGrad }) => requiresGrad),
            { lr: 1e-60 },
          ),
        },
        'the steps are too small for float32 at the learning rates 1e-60',
      ],
      [
        {
          loss: (batch, model) => {
            // Only the first layer's adapter is met.
            const x = rt().tensor(batch.x, [batch.y.length, WIDTH]);
            return sum(model.layer('0').forward(x));
          },
          optimizer: new SGD(
            lora
              .namedParameters()
              .filter(([name]) => name.startsWith('3.lora_B'))
              .map(([, one]) => one),
          ),
        },
        "gradients reach '0.lora_A.default.weight', '0.lora_B.default.weight', which the optimizer does not have",
      ],
    ];
    for (const [options, cause] of cases) {
      const trainer = train(lora, options);
      const before = textOf(trainer.save());
      await expect(drain(trainer.run())).rejects.toThrow(
        `Trainer.run: step 1: nothing is learnt, expected a parameter that changes: ${cause}`,
      );
      expect(textOf(trainer.save()), cause).toEqual(before);
    }
  });

  test('a learning rate of 0 that is asked for is a warning, and the loss is that of the evaluation', async () => {
    const lora = makeLora(rt());
    const told: string[] = [];
    const rows = inBatches(makeRows(9), [2, 7]);
    const trainer = new Trainer(lora as Module, rows, {
      loss: lossOf(rt()) as never,
      optimizer: new AdamW(lora.trainableParameters(), { lr: 0 }),
      ...{ accumulate: 2, epochs: 3, evaluate: rows, onWarning: (text: string) => told.push(text) },
    });
    const before = textOf(trainer.save())['adapter_model.safetensors'];
    const { result } = await drain(trainer.run());
    expect(told).toEqual(['Trainer.run: step 1: every learning rate is 0, nothing is learnt']);
    expect(result.warnings).toEqual(told);
    expect(textOf(trainer.save())['adapter_model.safetensors']).toBe(before);
    // The mean over all that counts, divided by nothing else.
    for (const [i, { loss }] of result.history.steps.entries())
      expect(loss).toBeCloseTo(result.history.evaluations[i]!.value, 12);
  });
});

/** Evaluations: when they come, what they leave alone, the best kept, and where a run ends early. */
import { expect, test } from 'vitest';
import { AdamW } from '../../src/index.js';
import { type EvalEvent, type TrainEvent, Trainer, type TrainerOptions } from '../../src/train/index.js';
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

const BATCHES = inBatches(makeRows(16), [4, 4, 4, 4]);
const evalsOf = (events: readonly TrainEvent[]): EvalEvent[] =>
  events.filter((event): event is EvalEvent => event.type === 'eval');

describeRuntimes('evaluation', (rt) => {
  type Lora = ReturnType<typeof makeLora>;
  const make = (options: Partial<TrainerOptions<Rows, Lora>>) => {
    rt().setRandomState({ seed: 7, draws: 0, layers: 0 });
    const lora = makeLora(rt(), { loraDropout: 0.3 }, 0.3);
    const optimizer = new AdamW(lora.trainableParameters(), { lr: 0.05 });
    const trainer = new Trainer(lora, BATCHES, { loss: lossOf(rt()), optimizer, ...options });
    return { lora, trainer };
  };

  test('it comes every so many steps and behind the last, else behind each epoch, or never', async () => {
    const steps = async (options: Partial<TrainerOptions<Rows, Lora>>) =>
      evalsOf((await drain(make({ evaluate: () => 1, ...options }).trainer.run())).events).map(
        ({ step }) => step,
      );
    expect(await steps({ epochs: 3 })).toEqual([4, 8, 12]);
    expect(await steps({ epochs: 2, evaluateEvery: 3 })).toEqual([3, 6, 8]);
    expect(await steps({ steps: 5, evaluateEvery: 5 })).toEqual([5]);
    expect(await steps({ epochs: 2, evaluateEvery: 0 })).toEqual([]);
  });

  test('it is in evaluation mode without a tape, and training is as without it', async () => {
    const plain = make({ epochs: 2 });
    await drain(plain.trainer.run());
    const modes: boolean[] = [];
    const seen = make({
      ...{ epochs: 2, evaluateEvery: 1 },
      async evaluate(model) {
        modes.push(model.training, rt().gradEnabled);
        // Random numbers of an evaluation are its own.
        rt().normal([3]);
        await Promise.resolve();
        return model.forward(rt().zeros([1, WIDTH])).toArray()[0]!;
      },
    });
    const { result } = await drain(seen.trainer.run());
    expect(result.history.evaluations.length).toBe(8);
    expect(modes.filter((_, i) => i % 2 === 0)).toEqual(Array.from({ length: 8 }, () => false));
    expect(seen.lora.trainableParameters().map((one) => [...one.bytes()])).toEqual(
      plain.lora.trainableParameters().map((one) => [...one.bytes()]),
    );
    expect(rt().randomState().draws).toBe(0);
  });

  test('over batches it is the mean over all that counts, the same whenever it is asked for', async () => {
    const { trainer, lora } = make({ evaluate: inBatches(makeRows(11, 3), [1, 10]) });
    lora.eval();
    const whole = rt().scope(() => {
      const { loss } = lossOf(rt())(makeRows(11, 3), lora) as { loss: { item(): number } };
      return loss.item();
    });
    lora.train();
    const { blocks } = rt().memory();
    expect(await trainer.evaluate()).toBeCloseTo(whole, 5);
    expect(lora.training).toBe(true);
    expect(rt().memory().blocks).toBe(blocks);
    await expect(make({}).trainer.evaluate()).rejects.toThrow(
      'Trainer.evaluate: there is no evaluate, expected the option',
    );
    const masked = make({ evaluate: [{ ...makeRows(2), y: [-100, -100] }] });
    await expect(masked.trainer.evaluate()).rejects.toThrow(
      'Trainer.evaluate: evaluate has nothing that counts',
    );
  });

  test('a run ends behind so many evaluations that are no better, and keeps the best', async () => {
    const values = [5, 4, 4.5, 4.2, 3.9, 3.95, 3.91, 3.92];
    let at = 0;
    const store = new MemoryStore();
    const { trainer, lora } = make({
      evaluate: () => values[at++]!,
      ...{ evaluateEvery: 1, epochs: 4, earlyStop: 3, keepBest: true, store, saveEvery: 1 },
    });
    const { events, result } = await drain(trainer.run());
    expect(evalsOf(events).map(({ best }) => best)).toEqual([
      true,
      true,
      false,
      false,
      true,
      false,
      false,
      false,
    ]);
    expect(result).toMatchObject({ reason: 'early-stop', step: 8, best: { step: 5, value: 3.9 } });
    // The parameters of the fifth step, of which the fifth checkpoint has the adapter.
    const fifth = store.saved.find(({ step }) => step === 5)!;
    const own = lora.exportAdapter()['adapter_model.safetensors'];
    expect(own).toEqual(fifth.files.get('adapter_model.safetensors'));
    expect(textOf(store.saved.at(-1)!.files)).not.toEqual(textOf(fifth.files));
    // A run that stopped early is over, in another program too.
    const again = make({
      ...{
        evaluate: () => 0,
        evaluateEvery: 1,
        epochs: 4,
        earlyStop: 3,
        keepBest: true,
        store,
        resume: true,
      },
    });
    expect(await drain(again.trainer.run())).toEqual({ events: [], result });
    expect(again.lora.exportAdapter()['adapter_model.safetensors']).toEqual(own);
  });

  test('what is better by less than minDelta is not waited for, however often it comes', async () => {
    const run = async (values: readonly number[], options: Partial<TrainerOptions<Rows, Lora>>) => {
      let at = 0;
      const { trainer } = make({
        evaluate: () => values[at++]!,
        ...{ evaluateEvery: 1, steps: values.length },
        ...options,
      });
      const { result } = await drain(trainer.run());
      return [result.reason, result.step, result.best] as const;
    };
    const creeping = [1, 0.96, 0.92, 0.88, 0.84, 0.8];
    expect(await run(creeping, { earlyStop: { patience: 3, minDelta: 0.1 } })).toEqual([
      ...['finished', 6],
      { step: 6, value: 0.8 },
    ]);
    expect(await run([1, 0.96, 0.95, 0.9], { earlyStop: { patience: 2, minDelta: 0.1 } })).toEqual([
      ...['early-stop', 3],
      { step: 3, value: 0.95 },
    ]);
    expect(await run([0.5, 0.7, 0.6, 0.7, 0.65, 0.9], { earlyStop: 3, greaterIsBetter: true })).toEqual([
      ...['early-stop', 5],
      { step: 2, value: 0.7 },
    ]);
  });

  test('a value that is no number, or not finite, is refused', async () => {
    const give = (value: unknown) => drain(make({ evaluate: () => value as number }).trainer.run());
    await expect(give('0.5')).rejects.toThrow("Trainer.run: evaluate gave '0.5', expected a number");
    await expect(give(Number.NaN)).rejects.toThrow(
      'Trainer.run: step 4: the evaluation gave NaN, expected a finite number',
    );
  });

  test('a signal during an evaluation ends the run before another step, and what was left is made when it goes on', async () => {
    const stop = new AbortController();
    let asked = 0;
    const byFunction = make({
      ...{ epochs: 1, evaluateEvery: 2 },
      evaluate: () => {
        asked++;
        stop.abort();
        return 1;
      },
    }).trainer;
    const first = await drain(byFunction.run({ signal: stop.signal }));
    expect([first.result.reason, first.result.step, asked]).toEqual(['aborted', 2, 1]);
    expect((await drain(byFunction.run())).result.history.evaluations.map(({ step }) => step)).toEqual([
      2, 4,
    ]);

    const half = new AbortController();
    const seen: number[] = [];
    const source = {
      ...{ rows: 3, batchSize: 1, hash: 'three' },
      batch: ([row = 0]: readonly number[]) => {
        seen.push(row);
        if (row === 1 && seen.length < 3) half.abort(new Error('enough'));
        return BATCHES[row]!;
      },
    };
    const store = new MemoryStore();
    const { trainer } = make({ epochs: 1, evaluate: source, store });
    const left = await drain(trainer.run({ signal: half.signal }));
    expect([left.result.reason, left.result.step, seen]).toEqual(['aborted', 4, [0, 1]]);
    expect(left.result.history.evaluations).toEqual([]);
    expect((await store.latest())?.step).toBe(4);
    const { result } = await drain(trainer.run());
    expect([result.reason, result.step, seen]).toEqual(['finished', 4, [0, 1, 0, 1, 2]]);
    await expect(trainer.evaluate({ signal: half.signal })).rejects.toThrow('enough');
  });

  test('steps and evaluations over the same parameters are made one after the other, or refused', async () => {
    const { lora } = make({});
    const options = { loss: lossOf(rt()), accumulate: 2, epochs: 2, evaluate: BATCHES.slice(0, 2) };
    const [one, two] = [new Trainer(lora, BATCHES, options), new Trainer(lora, BATCHES, options)];
    const running = one.run();
    const step = running.next();
    await Promise.resolve();
    await expect(two.run().next()).rejects.toThrow(
      /^Trainer\.run: step 1: '.*' is in the middle of another step, expected the end of that before this step$/,
    );
    await expect(one.evaluate()).rejects.toThrow(
      'another step, expected the end of that before this evaluation',
    );
    expect((await step).value).toMatchObject({ type: 'step', step: 1 });
    // Between two steps both may go on, and be looked at.
    await two.evaluate();
    expect((await two.run().next()).value).toMatchObject({ type: 'step', step: 1 });
    const looking = two.evaluate();
    await expect(running.next()).rejects.toThrow('another evaluation');
    await looking;
    expect((await drain(one.run())).result.step).toBe(4);
  });
});

/** A run of the Trainer: windows, epochs and their orders, events, signals, and loops that are left. */
import { expect, test } from 'vitest';
import { Trainer } from '../../src/train/index.js';
import { describeRuntimes } from '../support/runtimes.js';
import {
  drain,
  inBatches,
  lossOf,
  makeLora,
  makeRows,
  type Rows,
  stepsOf,
  WIDTH,
} from '../support/training.js';

describeRuntimes('training', (rt) => {
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
});

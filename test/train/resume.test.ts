/** A run that was stopped and went on in another runtime ends in the bytes of one that was not, whatever it trains. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Module } from '../../src/index.js';
import { adapted, bytesOf, filesAt, fresh, JOBS, type Job, STEPS, trainerOf } from '../support/resumable.js';
import { canThread, describeRuntimes } from '../support/runtimes.js';
import { drain, lossOf, type Rows, textOf } from '../support/training.js';

describeRuntimes('resume', (rt) => {
  const kernels = () => rt().info().kernels;

  test.each(Object.entries(JOBS))(
    '%s: stopped at any step it ends in the same bytes',
    async (_title, job) => {
      using first = await fresh(kernels(), rt().info().threads);
      const whole = trainerOf(first, job);
      const { result } = await drain(whole.trainer.run());
      expect(result.reason).toBe('finished');
      const files = textOf(whole.trainer.save());
      expect(Object.keys(files)).toContain('best.safetensors');
      for (const stop of [1, 4, STEPS - 1]) {
        using one = await fresh(kernels());
        const saved = await filesAt(trainerOf(one, job).trainer, stop);
        using two = await fresh(kernels(), rt().info().threads);
        // Numbers drawn before do not matter.
        two.normal([5]);
        const { trainer, model } = trainerOf(two, job);
        trainer.restore(saved);
        expect(trainer.step).toBe(stop);
        expect(textOf(trainer.save())).toEqual(textOf(saved));
        const again = await drain(trainer.run());
        expect(again.result).toEqual(result);
        expect(bytesOf(model)).toBe(bytesOf(whole.model));
        expect(textOf(trainer.save())).toEqual(files);
      }
    },
  );

  test('stopped and resumed over and over, at any steps, it ends in the same bytes', async () => {
    const job = JOBS['LoRA with dropout and LoRA+']!;
    using first = await fresh(kernels());
    const whole = trainerOf(first, job);
    await drain(whole.trainer.run());
    const wanted = textOf(whole.trainer.save());
    const stops = fc.uniqueArray(fc.integer({ min: 1, max: STEPS }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(stops, async (steps) => {
        let saved: Map<string, Uint8Array> | null = null;
        for (const stop of [...steps.sort((a, b) => a - b), STEPS]) {
          using next = await fresh(kernels());
          const { trainer } = trainerOf(next, job);
          if (saved !== null) trainer.restore(saved);
          saved = await filesAt(trainer, stop);
        }
        expect(textOf(saved!)).toEqual(wanted);
      }),
      { numRuns: 4 },
    );
  });

  test('a restore into a trainer that has run already forgets that run', async () => {
    const job = JOBS['LoRA with dropout and LoRA+']!;
    using first = await fresh(kernels());
    const { trainer } = trainerOf(first, job);
    const saved = await filesAt(trainer, 3);
    await drain(trainer.run());
    const wanted = textOf(trainer.save());
    trainer.restore(saved);
    expect(trainer.step).toBe(3);
    await drain(trainer.run());
    expect(textOf(trainer.save())).toEqual(wanted);
  });
});

test.skipIf(!canThread)('a run goes on at another number of threads', async () => {
  const job = JOBS['LoRA with dropout and LoRA+']!;
  using one = await fresh('simd', 1);
  const whole = trainerOf(one, job);
  await drain(whole.trainer.run());
  using few = await fresh('simd', 1);
  const saved = await filesAt(trainerOf(few, job).trainer, 4);
  using more = await fresh('simd', 3);
  const { trainer } = trainerOf(more, job);
  trainer.restore(saved);
  await drain(trainer.run());
  expect(textOf(trainer.save())).toEqual(textOf(whole.trainer.save()));
});

test('random numbers that the loss draws go on where they stood, in a runtime of any seed', async () => {
  using rt = await fresh('simd');
  const loss = (batch: Rows, model: Module) => {
    const noise = rt.normal([batch.x.length], 0.5).toArray();
    return lossOf(rt)({ ...batch, x: batch.x.map((value, i) => value + noise[i]!) }, model as never);
  };
  const job: Job = { model: adapted({ loraDropout: 0.3 }) };
  const whole = trainerOf(rt, job, { loss });
  await drain(whole.trainer.run());
  const wanted = textOf(whole.trainer.save());
  const saved = await filesAt(trainerOf(rt, job, { loss }).trainer, 4);
  const { trainer } = trainerOf(rt, job, { loss });
  rt.setRandomState({ seed: 99, draws: 5, layers: 50 });
  trainer.restore(saved);
  await drain(trainer.run());
  expect(textOf(trainer.save())).toEqual(wanted);
});

/**
 * What a run does with its store: goes on from it when asked to, leaves it alone when it is finished, saves in it when it is
 * aborted.
 */
import { expect, test } from 'vitest';
import { type Module, scale, type Tensor } from '../../src/index.js';
import { adapted, bytesOf, filesAt, fresh, JOBS, type Job, trainerOf } from '../support/resumable.js';
import { drain, lossOf, MemoryStore, makeLora, type Rows, textOf } from '../support/training.js';

test('a store is gone on from when asked for, refused when not, and left alone by a finished run', async () => {
  const job = JOBS['LoRA with dropout and LoRA+']!;
  using rt = await fresh('simd');
  const store = new MemoryStore();
  const first = trainerOf(rt, job, { store, saveEvery: 2 });
  const steps: number[] = [];
  for await (const event of first.trainer.run()) {
    if (event.type === 'checkpoint') steps.push(event.step);
    if (event.type === 'step' && event.step === 5) break;
  }
  expect(steps).toEqual([2, 4]);
  const refused = trainerOf(rt, job, { store });
  await expect(drain(refused.trainer.run())).rejects.toThrow(
    'Trainer.run: the store has a checkpoint of step 4, expected resume: true or a store without one',
  );
  const second = trainerOf(rt, job, { store, saveEvery: 0, resume: true });
  const { events } = await drain(second.trainer.run());
  expect(events.filter(({ type }) => type === 'step').map(({ step }) => step)).toEqual([5, 6, 7, 8, 9]);
  expect(store.saved.map(({ step }) => step)).toEqual([2, 4, 9]);
  const wanted = bytesOf(second.model);
  const third = trainerOf(rt, job, { store, resume: true });
  expect((await drain(third.trainer.run())).events).toEqual([]);
  expect(store.saved.length).toBe(3);
  expect(bytesOf(third.model)).toBe(wanted);
  // Where there is nothing to go on from it begins.
  const empty = trainerOf(rt, job, { store: new MemoryStore(), resume: true });
  const { value } = await empty.trainer.run().next();
  expect(value).toMatchObject({ type: 'step', step: 1 });
});

test('a run that learnt before it was stopped is not asked again whether it does', async () => {
  using rt = await fresh('simd');
  const job: Job = { model: adapted() };
  let steps = 0;
  // From the fourth step on every gradient is 0.
  const loss = (batch: Rows, model: Module) => {
    const { loss, count } = lossOf(rt)(batch, model as never) as { loss: Tensor; count: number };
    return { loss: scale(loss, steps >= 3 ? 0 : 1), count };
  };
  const first = trainerOf(rt, job, { loss, accumulate: 1, epochs: 1 });
  let saved = new Map<string, Uint8Array>();
  for await (const event of first.trainer.run()) {
    if (event.type === 'step') steps = event.step;
    if (event.type === 'step' && event.step === 4) saved = first.trainer.save();
  }
  const wanted = textOf(first.trainer.save());
  const second = trainerOf(rt, job, { loss, accumulate: 1, epochs: 1 });
  second.trainer.restore(saved);
  await drain(second.trainer.run());
  expect(textOf(second.trainer.save())).toEqual(wanted);
});

test('an aborted run has its last step in the store', async () => {
  const job = JOBS['a plain model with momentum']!;
  using rt = await fresh('simd');
  const store = new MemoryStore();
  const control = new AbortController();
  const { trainer } = trainerOf(rt, job, { store, saveEvery: 0 });
  for await (const event of trainer.run({ signal: control.signal })) if (event.step === 3) control.abort();
  expect(store.saved.map(({ step }) => step)).toEqual([3]);
  expect(textOf(store.saved[0]!.files)).toEqual(textOf(trainer.save()));
});

test('an exported adapter of a checkpoint is one that loads', async () => {
  using rt = await fresh('simd');
  const { trainer, model } = trainerOf(rt, JOBS['LoRA with dropout and LoRA+']!);
  const files = await filesAt(trainer, 3);
  const other = makeLora(rt);
  const report = await other.loadAdapter('read', {
    config: files.get('adapter_config.json')!,
    weights: files.get('adapter_model.safetensors')!,
  });
  expect(report).toMatchObject({ missing: [], unexpected: [] });
  const own = new Map(model.namedParameters());
  for (const [name, one] of other.namedParameters())
    if (name.includes('.read'))
      expect(one.toArray()).toEqual(own.get(name.replace('.read', '.default'))!.toArray());
});

test.each<[string, unknown, RegExp]>([
  ['no checkpoint', 5, /^Trainer\.run: the store's latest gave 5, expected \{ step, files \} or null$/],
  [
    'no step',
    { files: new Map() },
    /^Trainer\.run: the store's latest gave .*, expected \{ step, files \} or null$/,
  ],
  ['no files', { step: 1, files: {} }, /^Trainer\.run: the store's latest: files is .*, expected a Map/],
])(
  'a store that gives what is none is refused, and nothing is learnt: %s',
  async (_title, found, message) => {
    using rt = await fresh('simd');
    const store = { save: async () => {}, latest: async () => found as null };
    const { trainer } = trainerOf(rt, JOBS['a plain model with momentum']!, { store, resume: true });
    await expect(drain(trainer.run())).rejects.toThrow(message);
    expect(trainer.step).toBe(0);
  },
);

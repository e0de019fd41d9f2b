/** Checkpoints that do not fit a run, by what is other, and files that are damaged or missing. */
import { expect, test } from 'vitest';
import { AdamW, type Module, type Runtime, SGD } from '../../src/index.js';
import { CheckpointError, type Trainer } from '../../src/train/index.js';
import { adapted, BATCHES, filesAt, fresh, JOBS, SIZES, trainerOf } from '../support/resumable.js';
import { inBatches, MemoryStore, makeRows, type Rows, textOf } from '../support/training.js';

const IDENTITIES: readonly [string, (rt: Runtime) => Trainer<Rows, Module>, string][] = [
  [
    'another learning rate',
    (rt) =>
      trainerOf(rt, {
        model: adapted(),
        optimizer: (m) =>
          new AdamW(
            m.parameters().filter((p) => p.requiresGrad),
            { lr: 0.5 },
          ),
      }).trainer,
    'optimizer.groups.0.lr 0.001, this run has 0.5',
  ],
  [
    'another optimizer',
    (rt) =>
      trainerOf(rt, {
        model: adapted(),
        optimizer: (m) => new SGD(m.parameters().filter((p) => p.requiresGrad)),
      }).trainer,
    'optimizer.kind "AdamW", this run has "SGD"',
  ],
  [
    'accumulation',
    (rt) => trainerOf(rt, { model: adapted() }, { accumulate: 2 }).trainer,
    'accumulate 3, this run has 2',
  ],
  [
    'clipping',
    (rt) => trainerOf(rt, { model: adapted() }, { clipNorm: null }).trainer,
    'clipNorm 0.8, this run has null',
  ],
  ['schedule', (rt) => trainerOf(rt, { model: adapted() }, { schedule: 'linear' }).trainer, 'schedule "'],
  [
    'number of steps',
    (rt) => trainerOf(rt, { model: adapted() }, { epochs: 4 }).trainer,
    'steps 9, this run has 12',
  ],
  [
    'order',
    (rt) => trainerOf(rt, { model: adapted() }, { shuffle: false }).trainer,
    'shuffle true, this run has false',
  ],
  ['seed', (rt) => trainerOf(rt, { model: adapted() }, { seed: 8 }).trainer, 'seed 7, this run has 8'],
  [
    'tags',
    (rt) => trainerOf(rt, { model: adapted() }, { tags: { template: 'b' } }).trainer,
    'tags.template not given, this run has "b"',
  ],
  ['evaluation', (rt) => trainerOf(rt, { model: adapted() }, { evaluate: BATCHES }).trainer, 'evaluation "'],
  ['rank', (rt) => trainerOf(rt, { model: adapted({ r: 3 }) }).trainer, 'model "'],
  ['alpha', (rt) => trainerOf(rt, { model: adapted({ loraAlpha: 5 }) }).trainer, 'model "'],
  [
    'dropout of an adapter',
    (rt) => trainerOf(rt, { model: adapted({ loraDropout: 0.5 }) }).trainer,
    'model "',
  ],
  [
    'what a base weight is',
    (rt) => {
      const { trainer, model } = trainerOf(rt, { model: adapted() });
      model
        .namedParameters()
        .find(([name]) => name === '0.weight')![1]
        .set(new Float32Array(48));
      return trainer;
    },
    'model "',
  ],
  [
    'data',
    (rt) => trainerOf(rt, { model: adapted() }, {}, inBatches(makeRows(34, 2), SIZES)).trainer,
    'data "',
  ],
];

test.each(IDENTITIES)('a checkpoint of another one is refused by name: %s', async (_title, make, message) => {
  using rt = await fresh('simd');
  const files = await filesAt(trainerOf(rt, { model: adapted() }).trainer, 2);
  const trainer = make(rt);
  const before = textOf(trainer.save());
  expect(() => trainer.restore(files)).toThrow(CheckpointError);
  expect(() => trainer.restore(files)).toThrow(`Trainer.restore: the checkpoint was made with ${message}`);
  expect(textOf(trainer.save())).toEqual(before);
  expect(trainer.step).toBe(0);
});

test('intervals of saving, and the threads, may be others', async () => {
  using rt = await fresh('simd');
  const files = await filesAt(trainerOf(rt, { model: adapted() }).trainer, 2);
  const { trainer } = trainerOf(
    rt,
    { model: adapted() },
    { saveEvery: 1, store: new MemoryStore(), onWarning: () => {} },
  );
  trainer.restore(files);
  expect(trainer.step).toBe(2);
});

test('a file that is damaged or missing is refused by its name, and nothing changes', async () => {
  using rt = await fresh('simd');
  const job = JOBS['two adapters, and a bias unfrozen by hand']!;
  const files = await filesAt(trainerOf(rt, job).trainer, 4);
  expect([...files.keys()].sort()).toEqual([
    ...['adapter_config.json', 'adapter_model.safetensors', 'best.safetensors', 'model.safetensors'],
    ...[
      'optimizer.safetensors',
      'second/adapter_config.json',
      'second/adapter_model.safetensors',
      'trainer.json',
    ],
  ]);
  const { trainer } = trainerOf(rt, job);
  const before = textOf(trainer.save());
  const random = rt.randomState();
  for (const [name, bytes] of files) {
    const without = new Map(files);
    without.delete(name);
    expect(() => trainer.restore(without)).toThrow(`Trainer.restore: there is no ${name}`);
    for (const at of [0, Math.floor(bytes.length / 2), bytes.length - 1]) {
      const damaged = bytes.slice();
      damaged[at]! ^= 4;
      expect(() => trainer.restore(new Map(files).set(name, damaged)), `${name} ${at}`).toThrow(
        `Trainer.restore: ${name} is damaged`,
      );
    }
    expect(() => trainer.restore(new Map(files).set(name, bytes.slice(0, -3)))).toThrow(
      `Trainer.restore: ${name} is damaged`,
    );
  }
  expect(() => trainer.restore([] as never)).toThrow('Trainer.restore: files is [], expected a Map');
  expect(textOf(trainer.save())).toEqual(before);
  expect(rt.randomState()).toEqual(random);
  trainer.restore(files);
  expect(trainer.step).toBe(4);
});

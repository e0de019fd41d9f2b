/** A run that was stopped and went on in another runtime ends in the bytes of one that was not, whatever it trains; what does not fit is refused. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  AdamW,
  createRuntime,
  type LoraConfig,
  type LoraModel,
  type Module,
  type Runtime,
  type Sequential,
  SGD,
  scale,
  type Tensor,
} from '../../src/index.js';
import type { Optimizer } from '../../src/optim/base.js';
import { CheckpointError, Trainer, type TrainerOptions } from '../../src/train/index.js';
import { canThread, describeRuntimes } from '../support/runtimes.js';
import {
  drain,
  inBatches,
  lossOf,
  MemoryStore,
  makeLora,
  makeNet,
  makeRows,
  type Rows,
  textOf,
} from '../support/training.js';

const SIZES = [4, 6, 3, 5, 4, 5, 4, 3];
const BATCHES = inBatches(makeRows(34), SIZES);
const VALID = inBatches(makeRows(9, 5), [4, 5]);
const OPTIONS: Options = {
  ...{ accumulate: 3, epochs: 3, clipNorm: 0.8, schedule: 'cosine', warmup: 2 },
  ...{ evaluate: VALID, evaluateEvery: 2, keepBest: true },
};
const STEPS = 9;

type Options = Partial<TrainerOptions<Rows, Module>>;

/** What a test trains: the model, and the optimizer where it is not the default. */
interface Job {
  readonly model: (rt: Runtime) => Module & { forward(x: never): unknown };
  readonly optimizer?: (model: Module) => Optimizer;
}

const lora =
  (config: Partial<LoraConfig> = {}, dropout = 0) =>
  (rt: Runtime) =>
    makeLora(rt, config, dropout);
const groups = (model: Module): Optimizer =>
  new AdamW(
    (model as LoraModel<Sequential>).parameterGroups({ lr: 0.02, loraPlusLrRatio: 4, weightDecay: 0.1 }),
  );
const JOBS: Readonly<Record<string, Job>> = {
  'LoRA with dropout and LoRA+': {
    model: lora({ loraDropout: 0.3, loraBias: true }, 0.2),
    optimizer: groups,
  },
  'DoRA with biases and a saved head': {
    model: lora({ useDora: true, bias: 'all', targetModules: ['0'], modulesToSave: ['3'] }),
  },
  PiSSA: { model: lora({ initLoraWeights: 'pissa' }), optimizer: groups },
  'fused projections': {
    model: lora({
      targetModules: ['0'],
      fusedSlices: { '0': { sizes: [3, 2, 3], adapted: [true, false, true] } },
    }),
  },
  'two adapters, and a bias unfrozen by hand': {
    model(rt) {
      const model = makeLora(rt);
      model.addAdapter('second', { r: 1, targetModules: ['3'], loraDropout: 0.5 });
      model.setAdapter(['default', 'second']);
      model.namedParameters().find(([name]) => name === '0.bias')![1].requiresGrad = true;
      return model;
    },
  },
  'a plain model with momentum': {
    model: (rt) => makeNet(rt, 0.25),
    optimizer: (model) => new SGD(model.parameters(), { lr: 0.1, momentum: 0.9 }),
  },
};

function trainerOf(
  rt: Runtime,
  job: Job,
  more: Options = {},
  batches: readonly Rows[] = BATCHES,
): { trainer: Trainer<Rows, Module>; model: Module } {
  // The same model whatever was made before.
  rt.setRandomState({ seed: 7, draws: 0, layers: 0 });
  const model = job.model(rt);
  const optimizer = job.optimizer?.(model);
  const options: Options = { ...OPTIONS, ...(optimizer === undefined ? {} : { optimizer }), ...more };
  return {
    model,
    trainer: new Trainer<Rows, Module>(model, batches, { loss: lossOf(rt) as never, ...options }),
  };
}

/** Runs until `stop` steps are done, or to the end, and gives the files of then. */
async function filesAt(trainer: Trainer<Rows, Module>, stop: number): Promise<Map<string, Uint8Array>> {
  for await (const event of trainer.run())
    if (event.type === 'step' && event.step === stop && stop < STEPS) break;
  return trainer.save();
}

const bytesOf = (model: Module): string =>
  JSON.stringify(model.namedParameters().map(([name, one]) => [name, [...one.bytes()]]));

const fresh = (kernels: 'simd' | 'relaxed-simd', threads = 1): Promise<Runtime> =>
  createRuntime({ kernels, threads, seed: 7 });

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
  const job: Job = { model: lora() };
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

test('random numbers that the loss draws go on where they stood, in a runtime of any seed', async () => {
  using rt = await fresh('simd');
  const loss = (batch: Rows, model: Module) => {
    const noise = rt.normal([batch.x.length], 0.5).toArray();
    return lossOf(rt)({ ...batch, x: batch.x.map((value, i) => value + noise[i]!) }, model as never);
  };
  const job: Job = { model: lora({ loraDropout: 0.3 }) };
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

const IDENTITIES: readonly [string, (rt: Runtime) => Trainer<Rows, Module>, string][] = [
  [
    'another learning rate',
    (rt) =>
      trainerOf(rt, {
        model: lora(),
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
        model: lora(),
        optimizer: (m) => new SGD(m.parameters().filter((p) => p.requiresGrad)),
      }).trainer,
    'optimizer.kind "AdamW", this run has "SGD"',
  ],
  [
    'accumulation',
    (rt) => trainerOf(rt, { model: lora() }, { accumulate: 2 }).trainer,
    'accumulate 3, this run has 2',
  ],
  [
    'clipping',
    (rt) => trainerOf(rt, { model: lora() }, { clipNorm: null }).trainer,
    'clipNorm 0.8, this run has null',
  ],
  ['schedule', (rt) => trainerOf(rt, { model: lora() }, { schedule: 'linear' }).trainer, 'schedule "'],
  [
    'number of steps',
    (rt) => trainerOf(rt, { model: lora() }, { epochs: 4 }).trainer,
    'steps 9, this run has 12',
  ],
  [
    'order',
    (rt) => trainerOf(rt, { model: lora() }, { shuffle: false }).trainer,
    'shuffle true, this run has false',
  ],
  ['seed', (rt) => trainerOf(rt, { model: lora() }, { seed: 8 }).trainer, 'seed 7, this run has 8'],
  [
    'tags',
    (rt) => trainerOf(rt, { model: lora() }, { tags: { template: 'b' } }).trainer,
    'tags.template not given, this run has "b"',
  ],
  ['evaluation', (rt) => trainerOf(rt, { model: lora() }, { evaluate: BATCHES }).trainer, 'evaluation "'],
  ['rank', (rt) => trainerOf(rt, { model: lora({ r: 3 }) }).trainer, 'model "'],
  ['alpha', (rt) => trainerOf(rt, { model: lora({ loraAlpha: 5 }) }).trainer, 'model "'],
  ['dropout of an adapter', (rt) => trainerOf(rt, { model: lora({ loraDropout: 0.5 }) }).trainer, 'model "'],
  [
    'what a base weight is',
    (rt) => {
      const { trainer, model } = trainerOf(rt, { model: lora() });
      model
        .namedParameters()
        .find(([name]) => name === '0.weight')![1]
        .set(new Float32Array(48));
      return trainer;
    },
    'model "',
  ],
  ['data', (rt) => trainerOf(rt, { model: lora() }, {}, inBatches(makeRows(34, 2), SIZES)).trainer, 'data "'],
];

test.each(IDENTITIES)('a checkpoint of another one is refused by name: %s', async (_title, make, message) => {
  using rt = await fresh('simd');
  const files = await filesAt(trainerOf(rt, { model: lora() }).trainer, 2);
  const trainer = make(rt);
  const before = textOf(trainer.save());
  expect(() => trainer.restore(files)).toThrow(CheckpointError);
  expect(() => trainer.restore(files)).toThrow(`Trainer.restore: the checkpoint was made with ${message}`);
  expect(textOf(trainer.save())).toEqual(before);
  expect(trainer.step).toBe(0);
});

test('intervals of saving, and the threads, may be others', async () => {
  using rt = await fresh('simd');
  const files = await filesAt(trainerOf(rt, { model: lora() }).trainer, 2);
  const { trainer } = trainerOf(
    rt,
    { model: lora() },
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

/** Runs that can be stopped and gone on with: models of every kind, small batches, and the files that a run saves. */
import {
  AdamW,
  createRuntime,
  type LoraConfig,
  type LoraModel,
  type Module,
  type Runtime,
  type Sequential,
  SGD,
} from '../../src/index.js';
import type { Optimizer } from '../../src/optim/base.js';
import { Trainer, type TrainerOptions } from '../../src/train/index.js';
import { inBatches, lossOf, makeLora, makeNet, makeRows, type Rows } from './training.js';

export const SIZES = [4, 6, 3, 5, 4, 5, 4, 3];

export const BATCHES = inBatches(makeRows(34), SIZES);

export const VALID = inBatches(makeRows(9, 5), [4, 5]);

export const OPTIONS: Options = {
  ...{ accumulate: 3, epochs: 3, clipNorm: 0.8, schedule: 'cosine', warmup: 2 },
  ...{ evaluate: VALID, evaluateEvery: 2, keepBest: true },
};

export const STEPS = 9;

export type Options = Partial<TrainerOptions<Rows, Module>>;

/** What a test trains: the model, and the optimizer where it is not the default. */
export interface Job {
  readonly model: (rt: Runtime) => Module & { forward(x: never): unknown };
  readonly optimizer?: (model: Module) => Optimizer;
}

export const adapted =
  (config: Partial<LoraConfig> = {}, dropout = 0) =>
  (rt: Runtime) =>
    makeLora(rt, config, dropout);

export const plusGroups = (model: Module): Optimizer =>
  new AdamW(
    (model as LoraModel<Sequential>).parameterGroups({ lr: 0.02, loraPlusLrRatio: 4, weightDecay: 0.1 }),
  );

export const JOBS: Readonly<Record<string, Job>> = {
  'LoRA with dropout and LoRA+': {
    model: adapted({ loraDropout: 0.3, loraBias: true }, 0.2),
    optimizer: plusGroups,
  },
  'DoRA with biases and a saved head': {
    model: adapted({ useDora: true, bias: 'all', targetModules: ['0'], modulesToSave: ['3'] }),
  },
  PiSSA: { model: adapted({ initLoraWeights: 'pissa' }), optimizer: plusGroups },
  'fused projections': {
    model: adapted({
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

export function trainerOf(
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
export async function filesAt(
  trainer: Trainer<Rows, Module>,
  stop: number,
): Promise<Map<string, Uint8Array>> {
  for await (const event of trainer.run())
    if (event.type === 'step' && event.step === stop && stop < STEPS) break;
  return trainer.save();
}

export const bytesOf = (model: Module): string =>
  JSON.stringify(model.namedParameters().map(([name, one]) => [name, [...one.bytes()]]));

export const fresh = (kernels: 'simd' | 'relaxed-simd', threads = 1): Promise<Runtime> =>
  createRuntime({ kernels, threads, seed: 7 });

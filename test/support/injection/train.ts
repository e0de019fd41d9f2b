/** Injection scenarios of training: making a Trainer, a step of it, an evaluation, and going on from a checkpoint. */
import { crossEntropy, Linear, LoraModel, ReLU, type Runtime, Sequential } from '../../../src/index.js';
import { Trainer, type TrainerOptions } from '../../../src/train/index.js';
import type { Scenario } from './scenario.js';

const BATCHES = [0, 1];

interface Training {
  readonly lora: LoraModel<Sequential>;
  make(): Trainer<number, LoraModel<Sequential>>;
}

/** An adapted net with dropout, and what makes a Trainer of it. */
function trainingOn(rt: Runtime): Training {
  const net = new Sequential(new Linear(rt, 5, 4), new ReLU(), new Linear(rt, 4, 3));
  const lora = LoraModel.attach(net, { r: 2, loraDropout: 0.2, targetModules: 'all-linear' });
  const options: TrainerOptions<number, LoraModel<Sequential>> = {
    loss: (batch) => {
      const x = rt.tensor(
        Float32Array.from({ length: 10 }, (_, i) => Math.sin(i + 10 * batch)),
        [2, 5],
      );
      return crossEntropy(lora.forward(x), rt.tensor(Int32Array.of(batch, 2), [2]));
    },
    // One step: an error behind it, as in an evaluation that comes next, leaves the run as after it.
    ...{ steps: 1, clipNorm: 1, seed: 4, evaluate: BATCHES, evaluateEvery: 0 },
  };
  return { lora, make: () => new Trainer(lora, BATCHES, options) };
}

/** What shows of a run. */
const shownOf = (trainer: Trainer<number, LoraModel<Sequential>>): object => ({
  get step() {
    return trainer.step;
  },
  get history() {
    return JSON.stringify(trainer.history);
  },
});

/** A call of a Trainer; what it gives shall be the same at each call. */
function onTrainer(
  name: string,
  run: (trainer: Trainer<number, LoraModel<Sequential>>, saved: Map<string, Uint8Array>) => unknown,
): Scenario {
  return {
    ...{ title: name, covers: [name] },
    build(rt) {
      const { lora, make } = trainingOn(rt);
      const trainer = make();
      const saved = trainer.save();
      return { holders: [lora, trainer.optimizer, shownOf(trainer)], run: () => run(trainer, saved) };
    },
  };
}

export const TRAINING: readonly Scenario[] = [
  {
    title: 'new Trainer with an optimizer of its own',
    covers: ['Trainer'],
    build(rt) {
      const { lora, make } = trainingOn(rt);
      return { holders: [lora], run: () => make().step };
    },
  },
  onTrainer('Trainer.run', async (trainer) => {
    for await (const _ of trainer.run());
    return JSON.stringify(trainer.history);
  }),
  onTrainer('Trainer.evaluate', (trainer) => trainer.evaluate()),
  onTrainer('Trainer.save', (trainer) => trainer.save()),
  onTrainer('Trainer.restore', (trainer, saved) => trainer.restore(saved)),
];

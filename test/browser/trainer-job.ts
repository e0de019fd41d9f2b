/** A small job of a Trainer for a page and its worker: dropout, accumulation, evaluations, checkpoints in the browser's database. */
import { AdamW, createRuntime } from 'lora-wasm';
import { indexedDbStore, type TrainEvent, Trainer } from 'lora-wasm/train';
import { inBatches, lossOf, makeLora, makeRows, textOf } from '../support/training.js';

const BATCHES = inBatches(makeRows(24), [4, 6, 3, 5, 6]);

/** What came of it: the files of the last checkpoint, and the kinds of events. */
export interface Done {
  readonly files: Record<string, string>;
  readonly events: readonly string[];
}

/** Goes on to the end from what the database of this name has, or until `stop` says so. */
export async function trainJob(
  database: string,
  stop: (event: TrainEvent) => boolean = () => false,
): Promise<Done> {
  using rt = await createRuntime({ kernels: 'simd', threads: 1, seed: 4 });
  const lora = makeLora(rt, { loraDropout: 0.2 }, 0.3);
  const trainer = new Trainer(lora, BATCHES, {
    ...{
      loss: lossOf(rt),
      accumulate: 2,
      epochs: 3,
      saveEvery: 1,
      clipNorm: 1,
      schedule: 'cosine',
      warmup: 2,
    },
    ...{ evaluate: BATCHES.slice(0, 2), keepBest: true, resume: true },
    optimizer: new AdamW(lora.parameterGroups({ lr: 0.02, loraPlusLrRatio: 4 })),
    store: indexedDbStore(database),
  });
  const events: string[] = [];
  for await (const event of trainer.run()) {
    events.push(`${event.type} ${event.step}`);
    if (stop(event)) break;
  }
  return { files: textOf(trainer.save()), events };
}

/**
 * A network of one's own under the Trainer, then an adapter over it: schedule, accumulation, evaluation, early stopping, the best
 * parameters kept; stopped in the middle, gone on with in another runtime, and the same bytes at the end as without the stop.
 * Run: `npx tsx examples/trainer.ts`
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  AdamW,
  argmax,
  createRuntime,
  crossEntropy,
  Dropout,
  Linear,
  LoraModel,
  Module,
  ReLU,
  type Runtime,
  type Tensor,
} from 'lora-wasm';
import { folderStore } from 'lora-wasm/node';
import { type BatchSource, Trainer, type TrainResult } from 'lora-wasm/train';
import { type Digits, loadDigits, PIXELS, pick } from './mnist/data.js';

const [TRAIN, VALID, BATCH] = [1200, 400, 40];
const SIDE = 28;

/** Any class with a forward will do. */
class Net extends Module {
  readonly fc1: Linear;
  readonly drop: Dropout;
  readonly fc2: Linear;
  readonly relu = new ReLU();

  constructor(rt: Runtime) {
    super();
    this.fc1 = new Linear(rt, PIXELS, 96);
    this.drop = new Dropout(rt, 0.2);
    this.fc2 = new Linear(rt, 96, 10);
  }

  override forward(x: Tensor): Tensor {
    return this.fc2.forward(this.drop.forward(this.relu.forward(this.fc1.forward(x))));
  }
}

type Model = { forward(x: Tensor): Tensor };

/** Rows that are put into batches in another order each epoch. */
function batchesOf(digits: Digits, hash: string): BatchSource<Digits> {
  return { rows: digits.count, batchSize: BATCH, batch: (rows) => pick(digits, rows), hash };
}

/** All that the Trainer has to know of a task. */
const lossOf = (rt: Runtime) => (batch: Digits, model: Model) => {
  const logits = model.forward(rt.tensor(batch.images, [batch.count, PIXELS]));
  return { loss: crossEntropy(logits, rt.tensor(batch.labels)), count: batch.count };
};

/** The share of right answers: what is to be the best. */
const accuracyOf = (rt: Runtime, digits: Digits) => (model: Model) =>
  rt.scope(() =>
    rt.noGrad(() => {
      const found = argmax(model.forward(rt.tensor(digits.images, [digits.count, PIXELS]))).toArray();
      return digits.labels.filter((label, i) => label === found[i]).length / digits.count;
    }),
  );

const percent = (share: number | undefined): string => `${(100 * (share ?? 0)).toFixed(1)} %`;

/** Goes through the events of a run. @param stop - ends it behind this step */
async function follow<B, M extends Module>(
  trainer: Trainer<B, M>,
  stop = Number.POSITIVE_INFINITY,
): Promise<TrainResult> {
  const control = new AbortController();
  const run = trainer.run({ signal: control.signal });
  for (;;) {
    const next = await run.next();
    if (next.done === true) return next.value;
    const event = next.value;
    if (event.type === 'eval')
      console.log(`  step ${event.step}: ${percent(event.value)} right${event.best ? ', the best' : ''}`);
    if (event.step >= stop) control.abort();
  }
}

const { train, test } = loadDigits(5);
const rows = (digits: Digits, count: number): Digits =>
  pick(
    digits,
    Array.from({ length: count }, (_, i) => i),
  );
const [learn, valid] = [rows(train, TRAIN), rows(test, VALID)];
/** As in a mirror: what the base has never seen. */
const mirrored = (digits: Digits): Digits => ({
  ...digits,
  images: digits.images.map((_, i) => digits.images[i - (i % SIDE) + SIDE - 1 - (i % SIDE)]!),
});

console.log('a network of one’s own, until it gets no better:');
const rt = await createRuntime({ seed: 1 });
const net = new Net(rt);
using first = new Trainer(net, batchesOf(learn, 'digits'), {
  loss: lossOf(rt),
  ...{ schedule: 'cosine', warmup: 10, epochs: 12, clipNorm: 1 },
  evaluate: accuracyOf(rt, valid),
  ...{ greaterIsBetter: true, earlyStop: 3, keepBest: true },
});
const base = await follow(first);
console.log(`  ${base.reason} after ${base.step} steps with ${percent(base.best?.value)}`);
const weights = net.stateDict();

/** An adapter over the network, in a runtime of its own: what another program would do. */
async function adapt(
  folder: string | null,
  stop?: number,
): Promise<{ result: TrainResult; adapter: Uint8Array }> {
  using own = await createRuntime({ seed: 2 });
  const model = new Net(own);
  model.loadStateDict(weights);
  const lora = LoraModel.attach(model, {
    r: 4,
    loraAlpha: 8,
    loraDropout: 0.1,
    targetModules: ['fc1', 'fc2'],
  });
  const trainer = new Trainer(lora, batchesOf(mirrored(learn), 'mirrored'), {
    loss: lossOf(own),
    optimizer: new AdamW(lora.parameterGroups({ lr: 2e-3, loraPlusLrRatio: 4 })),
    ...{ schedule: 'linear', warmup: 5, steps: 60, accumulate: 2, clipNorm: 1 },
    evaluate: accuracyOf(own, mirrored(valid)),
    ...{ evaluateEvery: 20, greaterIsBetter: true, keepBest: true },
    ...(folder === null ? {} : { store: folderStore(folder, { keep: 2 }), saveEvery: 10, resume: true }),
  });
  const result = await follow(trainer, stop);
  return { result, adapter: lora.exportAdapter()['adapter_model.safetensors'] };
}

console.log('an adapter that reads mirrored digits, without a stop:');
const whole = await adapt(null);
const folder = await mkdtemp(join(tmpdir(), 'lora-wasm-trainer-'));
console.log('the same, stopped in the middle and gone on with:');
const stopped = await adapt(folder, 27);
console.log(`  ${stopped.result.reason} after step ${stopped.result.step}`);
const again = await adapt(folder);
await rm(folder, { recursive: true });
const same = Buffer.compare(whole.adapter, again.adapter) === 0;
console.log(`the adapter is the same, byte for byte: ${same ? 'yes' : 'no'}`);
if (!same) process.exitCode = 1;
rt.dispose();

/** A small job for tests of training: rows of numbers, some of them masked, a net with dropout, and its loss. */
import {
  crossEntropy,
  Dropout,
  Linear,
  type LoraConfig,
  LoraModel,
  ReLU,
  type Runtime,
  Sequential,
  type Tensor,
} from '../../src/index.js';
import type {
  BatchLoss,
  CheckpointFiles,
  CheckpointStore,
  StepEvent,
  StoredCheckpoint,
  TrainEvent,
  TrainResult,
} from '../../src/train/index.js';
import { Hash } from '../../src/values/hash.js';

export const WIDTH = 6;
export const CLASSES = 4;

/** Rows of a classification; a label of -100 is masked. */
export interface Rows {
  readonly x: readonly number[];
  readonly y: readonly number[];
}

/** Rows whose class can be told from their numbers. */
export function makeRows(count: number, seed = 1): Rows {
  const y = Array.from({ length: count }, (_, i) => (i * 7 + seed) % CLASSES);
  const x = y.flatMap((label, i) =>
    Array.from({ length: WIDTH }, (_, j) => Math.sin(i * 12.9 + j * 78.2 + seed) + (j === label ? 2 : 0)),
  );
  return { x, y };
}

/** Some of the rows, in order. */
export function pick({ x, y }: Rows, rows: readonly number[]): Rows {
  return { x: rows.flatMap((row) => x.slice(row * WIDTH, (row + 1) * WIDTH)), y: rows.map((row) => y[row]!) };
}

/** All rows in batches of these sizes. */
export function inBatches(rows: Rows, sizes: readonly number[]): Rows[] {
  let at = 0;
  return sizes.map((size) =>
    pick(
      rows,
      Array.from({ length: size }, () => at++),
    ),
  );
}

export function makeNet(rt: Runtime, dropout = 0): Sequential {
  return new Sequential(
    new Linear(rt, WIDTH, 8),
    new ReLU(),
    new Dropout(rt, dropout),
    new Linear(rt, 8, CLASSES),
  );
}

export function makeLora(rt: Runtime, config: Partial<LoraConfig> = {}, dropout = 0): LoraModel<Sequential> {
  return LoraModel.attach(makeNet(rt, dropout), {
    r: 2,
    loraAlpha: 4,
    targetModules: 'all-linear',
    ...config,
  });
}

type Model = { forward(x: Tensor): Tensor };

/** Mean cross-entropy over the labels that are not masked, with their number. */
export function lossOf(rt: Runtime): (batch: Rows, model: Model) => BatchLoss {
  return ({ x, y }, model) => {
    const logits = model.forward(rt.tensor(x, [y.length, WIDTH]));
    const count = y.filter((label) => label !== -100).length;
    return { loss: crossEntropy(logits, rt.tensor(Int32Array.from(y))), count };
  };
}

/** Every event of a run, and what it came to. */
export async function drain(
  run: AsyncGenerator<TrainEvent, TrainResult>,
): Promise<{ events: TrainEvent[]; result: TrainResult }> {
  const events: TrainEvent[] = [];
  for (;;) {
    const next = await run.next();
    if (next.done === true) return { events, result: next.value };
    events.push(next.value);
  }
}

/** The events of steps alone. */
export const stepsOf = (events: readonly TrainEvent[]): StepEvent[] =>
  events.filter((event): event is StepEvent => event.type === 'step');

/** Files to be compared: JSON as its text, others by their hash. */
export function textOf(files: CheckpointFiles): Record<string, string> {
  return Object.fromEntries(
    [...files].map(([name, bytes]) => [
      name,
      name.endsWith('.json') ? new TextDecoder().decode(bytes) : new Hash().update(bytes).digest(),
    ]),
  );
}

/** A store in memory, with a copy of all that it was given. */
export class MemoryStore implements CheckpointStore {
  readonly saved: StoredCheckpoint[] = [];

  async save(step: number, files: CheckpointFiles): Promise<void> {
    this.saved.push({ step, files: new Map([...files].map(([name, bytes]) => [name, bytes.slice()])) });
  }

  async latest(): Promise<StoredCheckpoint | null> {
    return this.saved.at(-1) ?? null;
  }
}

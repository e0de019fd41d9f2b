/** The deliberately oversized network of the story, 784-1000-2000-10, and what is done with it: a step, predictions. */
import { argmax, crossEntropy, type Layer, Linear, Module, ReLU, type Runtime, type Tensor } from 'lora-wasm';
import { type Digits, PIXELS } from './data.js';

export const LAYERS = ['fc1', 'fc2', 'fc3'] as const;

export class Net extends Module {
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly fc3: Linear;
  readonly relu = new ReLU();

  constructor(rt: Runtime) {
    super();
    this.fc1 = new Linear(rt, PIXELS, 1000);
    this.fc2 = new Linear(rt, 1000, 2000);
    this.fc3 = new Linear(rt, 2000, 10);
  }

  override forward(x: Tensor): Tensor {
    return this.fc3.forward(this.relu.forward(this.fc2.forward(this.relu.forward(this.fc1.forward(x)))));
  }
}

interface Stepper {
  step(): void;
  zeroGrad(): void;
}

/** One training step; gives the loss. Everything it made is released at its end. */
export function trainStep(rt: Runtime, model: Layer, optimizer: Stepper, batch: Digits): number {
  return rt.scope(() => {
    optimizer.zeroGrad();
    const x = rt.tensor(batch.images, [batch.count, PIXELS]);
    const loss = crossEntropy(model.forward(x), rt.tensor(batch.labels));
    loss.backward();
    optimizer.step();
    return loss.item();
  });
}

/** The predicted digit of every image, by batches of 250. */
export function predict(rt: Runtime, model: Layer, digits: Digits): Int32Array {
  const predictions = new Int32Array(digits.count);
  for (let at = 0; at < digits.count; at += 250) {
    const count = Math.min(250, digits.count - at);
    rt.scope(() =>
      rt.noGrad(() => {
        const x = rt.tensor(digits.images.subarray(at * PIXELS, (at + count) * PIXELS), [count, PIXELS]);
        argmax(model.forward(x)).copyTo(predictions.subarray(at, at + count));
      }),
    );
  }
  return predictions;
}

/** Wrong predictions of each digit, and the share of right ones. */
export function score(predictions: Int32Array, digits: Digits): { wrong: number[]; accuracy: number } {
  const wrong = new Array<number>(10).fill(0);
  for (let i = 0; i < digits.count; i++) if (predictions[i] !== digits.labels[i]) wrong[digits.labels[i]!]!++;
  return { wrong, accuracy: 1 - wrong.reduce((a, b) => a + b, 0) / digits.count };
}

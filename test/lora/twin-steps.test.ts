/** A hundred steps of training beside the float64 twins: adapters over two layers, cross-entropy, AdamW. */
import { expect, test } from 'vitest';
import { headLoss } from '../../reference/loss.js';
import { crossEntropyGradient, type TwinLayer, twinGradients } from '../../reference/network.js';
import { randomArray } from '../../reference/random.js';
import { AdamW, crossEntropy, Linear, LoraModel, ReLU, Sequential } from '../../src/index.js';
import { describeRuntimes } from '../support/runtimes.js';

const [M, WIDTH, HIDDEN, CLASSES, R] = [12, 10, 14, 6, 3];
const STEPS = 100;
const ADAMW = { lr: 3e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01 } as const;
const x = randomArray(M * WIDTH, 5);
const labels = Int32Array.from({ length: M }, (_, i) => (5 * i + 1) % CLASSES);

/** Layers with factors in float64. */
const twins: readonly TwinLayer<Float64Array>[] = [
  [HIDDEN, WIDTH, 40],
  [CLASSES, HIDDEN, 50],
].map(([N, K, seed]) => ({
  ...{ N: N!, K: K!, w: randomArray(N! * K!, seed!, 0.5), bias: randomArray(N!, seed! + 1, 0.3) },
  low: {
    ...{ r: R, scaling: 2, a: Float64Array.from(randomArray(R * K!, seed! + 2, 0.4)) },
    b: Float64Array.from(randomArray(N! * R, seed! + 3, 0.1)),
  },
}));

/** Decoupled weight decay, then the step (Loshchilov and Hutter, arXiv 1711.05101), in float64. */
function adamw(): (p: Float64Array, g: Float64Array, step: number) => void {
  const moments = new Map<Float64Array, readonly [Float64Array, Float64Array]>();
  const { lr, betas, eps, weightDecay } = ADAMW;
  return (p, g, step) => {
    const [m, v] = moments.get(p) ?? [new Float64Array(p.length), new Float64Array(p.length)];
    moments.set(p, [m, v]);
    for (let i = 0; i < p.length; i++) {
      m[i] = betas[0] * m[i]! + (1 - betas[0]) * g[i]!;
      v[i] = betas[1] * v[i]! + (1 - betas[1]) * g[i]! ** 2;
      const [mean, spread] = [m[i]! / (1 - betas[0] ** step), v[i]! / (1 - betas[1] ** step)];
      p[i] = p[i]! * (1 - lr * weightDecay) - (lr * mean) / (Math.sqrt(spread) + eps);
    }
  };
}

/** Losses before each step. */
function twinLosses(): number[] {
  const step = adamw();
  return Array.from({ length: STEPS }, (_, i) => {
    let loss = 0;
    const slope = crossEntropyGradient(labels, CLASSES);
    const gradients = twinGradients(twins, M, x, (y) => {
      // Of logits as they are: a head that is the identity.
      const weight = Array.from({ length: CLASSES ** 2 }, (_v, at) => Number(at % (CLASSES + 1) === 0));
      loss = headLoss({ hidden: y, weight, labels: [...labels] }).loss / M;
      return slope(y);
    });
    for (const [l, { da, db }] of gradients.entries()) {
      step(twins[l]!.low!.a, da!, i + 1);
      step(twins[l]!.low!.b, db!, i + 1);
    }
    return loss;
  });
}

const start = twins.map(({ low }) => ({ a: low!.a.slice(), b: low!.b.slice() }));
const wanted = twinLosses();

describeRuntimes('a hundred steps', (rt) => {
  test('have the losses of the float64 twins', () => {
    const net = new Sequential(
      new Linear(rt(), WIDTH, HIDDEN),
      new ReLU(),
      new Linear(rt(), HIDDEN, CLASSES),
    );
    net.loadStateDict({
      '0.weight': { shape: [HIDDEN, WIDTH], data: twins[0]!.w },
      '0.bias': { shape: [HIDDEN], data: twins[0]!.bias },
      '2.weight': { shape: [CLASSES, HIDDEN], data: twins[1]!.w },
      '2.bias': { shape: [CLASSES], data: twins[1]!.bias },
    });
    const lora = LoraModel.attach(net, { r: R, loraAlpha: 2 * R, targetModules: ['0', '2'] });
    for (const [l, name] of ['0', '2'].entries()) {
      const { A, B } = lora.layer(name).factors('default');
      A.set(start[l]!.a);
      B.set(start[l]!.b);
    }
    const optimizer = new AdamW(lora.trainableParameters(), ADAMW);
    const [input, target] = [rt().tensor(x, [M, WIDTH]).keep(), rt().tensor(labels).keep()];
    const losses = wanted.map(() =>
      rt().scope(() => {
        optimizer.zeroGrad();
        const loss = crossEntropy(lora.forward(input), target);
        loss.backward();
        optimizer.step();
        return loss.item();
      }),
    );
    expect(wanted.at(-1)!).toBeLessThan(0.3 * wanted[0]!);
    const off = losses.map((loss, i) => Math.abs(loss - wanted[i]!) / wanted[i]!);
    expect(Math.max(...off)).toBeLessThan(1e-4);
    lora.dispose();
  });
});

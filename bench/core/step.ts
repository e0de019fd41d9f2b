/**
 * Training steps of this package as its users write them (forward, loss, backward, optimiser), over the layers of a contest: with
 * adapters, or all weights. `own.ts` has one beside the peers', the suite `bench` holds both against each other.
 */
import {
  crossEntropy,
  type Layer,
  Linear,
  LoraModel,
  Module,
  mseLoss,
  type Optimizer,
  type Parameter,
  type Runtime,
  relu,
  type Tensor,
} from 'lora-wasm';
import { crossEntropyGradient, squaredErrorGradient, type TwinLayer } from '../../reference/network.js';
import { randomArray } from '../../reference/random.js';
import { type Contest, SCALING } from './contest.js';

/** Inputs, the loss over them and the gradient of that loss in float64. */
export interface Batch {
  readonly values: Float32Array;
  readonly x: Tensor;
  readonly lossOf: (y: Tensor) => Tensor;
  readonly lossGradient: (y: Float64Array) => Float64Array;
  readonly dispose: () => void;
}

/** Squared error for an inner layer, cross-entropy for a network. */
export function batchOf(rt: Runtime, { M, sizes, inner }: Contest): Batch {
  const [K, N] = [sizes[0]![1], sizes.at(-1)![0]];
  const values = randomArray(M * K, 7);
  const x = rt.tensor(values, [M, K]);
  const over = (target: Tensor, lossOf: Batch['lossOf'], lossGradient: Batch['lossGradient']): Batch => {
    const dispose = (): void => {
      for (const tensor of [x, target]) tensor.dispose();
    };
    return { values, x, lossOf, lossGradient, dispose };
  };
  if (inner) {
    const target = randomArray(M * N, 8);
    const t = rt.tensor(target, [M, N]);
    return over(t, (y) => mseLoss(y, t), squaredErrorGradient(target));
  }
  const labels = Int32Array.from({ length: M }, (_, i) => (i * 7) % N);
  const t = rt.tensor(labels, [M]);
  return over(t, (y) => crossEntropy(y, t), crossEntropyGradient(labels, N));
}

class Network extends Module {
  readonly layers: Layer[];

  constructor(rt: Runtime, sizes: Contest['sizes']) {
    super();
    this.layers = sizes.map(([N, K]) => new Linear(rt, K, N));
  }

  override forward(x: Tensor): Tensor {
    return this.layers.reduce((value, layer, i) => layer.forward(i === 0 ? value : relu(value)), x);
  }
}

/** What of a layer a parameter is. */
export type Part = 'w' | 'bias' | 'a' | 'b';

export interface Learner {
  readonly network: Module;
  /** Every parameter that learns, with its layer. */
  readonly learnt: readonly { readonly part: Part; readonly layer: number; readonly parameter: Parameter }[];
  /** Forward, loss and backward; `after` sees x with its gradient. */
  readonly gradients: <T>(after: (x: Tensor) => T) => T;
  /** The whole step. */
  readonly step: () => void;
  readonly loss: () => number;
  readonly dispose: () => void;
}

/** @param layers - the parameters' values; with their low-rank parts adapters learn, without them all weights do */
export function learnerOf(
  rt: Runtime,
  { sizes, r, inner }: Contest,
  layers: readonly TwinLayer[],
  batch: Batch,
  optimizerOf: (parameters: Parameter[]) => Optimizer,
): Learner {
  const plain = new Network(rt, sizes);
  const targetModules = sizes.map((_, i) => `layers.${i}`);
  const network =
    layers[0]!.low === null ? plain : LoraModel.attach(plain, { r, loraAlpha: r * SCALING, targetModules });
  const all = network.namedParameters().map(([name, parameter]) => {
    const layer = Number(/layers\.(\d+)/.exec(name)![1]);
    return { part: partOf(name), layer, parameter };
  });
  for (const { part, layer, parameter } of all) {
    const { w, bias, low } = layers[layer]!;
    parameter.set({ w, bias, a: low?.a, b: low?.b }[part]!);
  }
  const learnt = all.filter(({ parameter }) => parameter.requiresGrad);
  const optimizer = optimizerOf(learnt.map(({ parameter }) => parameter));
  const lossOf = (x: Tensor): Tensor => batch.lossOf(network.forward(x));
  const gradients: Learner['gradients'] = (after) =>
    rt.scope(() => {
      const x = batch.x.detach();
      x.requiresGrad = inner;
      lossOf(x).backward();
      return after(x);
    });
  const step = (): void => {
    optimizer.zeroGrad();
    gradients(() => optimizer.step());
  };
  const loss = (): number => rt.scope(() => rt.noGrad(() => lossOf(batch.x).item()));
  const dispose = (): void => {
    for (const owner of [optimizer, network]) owner.dispose();
  };
  return { network, learnt, gradients, step, loss, dispose };
}

function partOf(name: string): Part {
  if (name.includes('lora_A')) return 'a';
  if (name.includes('lora_B')) return 'b';
  return name.endsWith('bias') ? 'bias' : 'w';
}

export function copyOf(tensor: Tensor): Float32Array {
  return tensor.copyTo(new Float32Array(tensor.size));
}

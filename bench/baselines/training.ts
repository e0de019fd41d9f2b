/**
 * Full training steps (forward, loss, backward, Adam): LoRA against fine-tuning all weights, for one inner layer and for
 * the MNIST network. Gradients of both are checked against float64 before anything is timed.
 */
import {
  Adam,
  crossEntropy,
  type Layer,
  Linear,
  LoraModel,
  Module,
  mseLoss,
  type Runtime,
  relu,
  type Tensor,
} from 'lora-wasm';
import { verifyClose } from '../../reference/check.js';
import {
  crossEntropyGradient,
  squaredErrorGradient,
  type TwinLayer,
  twinGradients,
} from '../../reference/network.js';
import { randomArray } from '../../reference/random.js';
import { type Contest, SCALING, stepFlops, twinLayers } from '../core/contest.js';
import { OP, type Row } from '../core/records.js';
import { timedRows } from '../core/timed-rows.js';
import type { Context } from './forward.js';
import { ownProducts } from './own-products.js';
import { recordReplay } from './replay.js';

const LEARNING_RATE = 1e-4;
/** Steps until the engine's best compiler has taken over a step's JavaScript: about two thousand in Node 20. */
const WARM_STEPS = 3000;

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

interface Side {
  readonly network: Layer;
  /** Forward, loss and backward. */
  readonly gradients: () => void;
  /** The whole step. */
  readonly step: () => void;
  readonly dispose: () => void;
}

/** Rows of one contest. */
export function trainingRows(context: Context, contest: Contest): Row[] {
  if (!context.wanted(`training step ${contest.shape}`)) return [];
  const { rt } = context;
  const twins = twinLayers(contest);
  const data = batchOf(rt, contest);
  const lora = sideOf(rt, contest, twins, data, true);
  const full = sideOf(rt, contest, twins, data, false);
  checkGradients(contest, twins, data, lora, true);
  checkGradients(contest, twins, data, full, false);
  const own = ownProducts(rt, contest, lora.network);
  const replay = recordReplay(rt, lora.step);
  const { reset } = recordReplay(rt, full.step);
  // Last, since a recording puts other functions in the kernels' place and makes the engine compile anew.
  warmUp(rt, contest);
  const flops = stepFlops(contest);
  const shared = { rt, shape: contest.shape };
  const rows = timedRows(
    [
      {
        ...{ ...shared, operation: OP.loraStep, flops: flops.lora, run: lora.step },
        ...{ before: replay.reset, ratioTo: OP.fullStep },
      },
      { ...shared, operation: OP.fullStep, flops: flops.full, run: full.step, before: reset },
      { ...shared, operation: OP.ownProducts, flops: flops.own, run: own.run, ratioTo: OP.loraStep },
      {
        ...{ ...shared, operation: OP.replay, flops: flops.lora, run: replay.run },
        ...{ before: replay.reset, ratioTo: OP.loraStep },
      },
    ],
    context.effort,
    context.ceiling,
  );
  replay.check();
  for (const owner of [lora, full, own, ...data.tensors]) owner.dispose();
  return rows;
}

/** Inputs, the loss over them and the gradient of that loss in float64. */
interface Batch {
  readonly xData: Float32Array;
  readonly x: Tensor;
  readonly lossOf: (y: Tensor) => Tensor;
  readonly lossGradient: (y: Float64Array) => Float64Array;
  readonly tensors: Tensor[];
}

/** Squared error for an inner layer, cross-entropy for a network. */
function batchOf(rt: Runtime, { M, sizes, inner }: Contest): Batch {
  const [K, N] = [sizes[0]![1], sizes.at(-1)![0]];
  const xData = randomArray(M * K, 7);
  const x = rt.tensor(xData, [M, K]);
  if (inner) {
    const target = randomArray(M * N, 8);
    const t = rt.tensor(target, [M, N]);
    const lossGradient = squaredErrorGradient(target);
    return { xData, x, lossOf: (y) => mseLoss(y, t), lossGradient, tensors: [x, t] };
  }
  const labels = Int32Array.from({ length: M }, (_, i) => (i * 7) % N);
  const t = rt.tensor(labels, [M]);
  const lossGradient = crossEntropyGradient(labels, N);
  return { xData, x, lossOf: (y) => crossEntropy(y, t), lossGradient, tensors: [x, t] };
}

function sideOf(
  rt: Runtime,
  contest: Contest,
  twins: readonly TwinLayer[],
  batch: Batch,
  withLora: boolean,
): Side {
  const { sizes, r, inner } = contest;
  const plain = new Network(rt, sizes);
  const lora = withLora
    ? LoraModel.attach(plain, {
        r,
        loraAlpha: r * SCALING,
        targetModules: sizes.map((_, i) => `layers.${i}`),
      })
    : null;
  const network = lora ?? plain;
  for (const [name, parameter] of network.namedParameters()) {
    const { w, bias, low } = twins[Number(/layers\.(\d+)/.exec(name)![1])]!;
    if (name.includes('lora_A')) parameter.set(low!.a);
    else if (name.includes('lora_B')) parameter.set(low!.b);
    else parameter.set(name.endsWith('bias') ? bias : w);
  }
  const trainable = network.parameters().filter((parameter) => parameter.requiresGrad);
  const adam = new Adam(trainable, { lr: LEARNING_RATE });
  const gradients = (): void =>
    rt.scope(() => {
      const x = batch.x.detach();
      x.requiresGrad = inner;
      batch.lossOf(network.forward(x)).backward();
    });
  const step = (): void => {
    adam.zeroGrad();
    gradients();
    adam.step();
  };
  const dispose = (): void => {
    adam.dispose();
    network.dispose();
  };
  return { network, gradients, step, dispose };
}

/** Compiles both sides' steps, on layers so small that it takes no time: a training run is thousands of steps long. */
function warmUp(rt: Runtime, contest: Contest): void {
  const small: Contest = { ...contest, M: 2, r: 1, sizes: contest.sizes.map(() => [8, 8]) };
  const data = batchOf(rt, small);
  for (const withLora of [true, false]) {
    const side = sideOf(rt, small, twinLayers(small), data, withLora);
    for (let i = 0; i < WARM_STEPS; i++) side.step();
    side.dispose();
  }
  for (const tensor of data.tensors) tensor.dispose();
}

/** The gradients of the first step, then a loss that falls over a few. @throws Error */
function checkGradients(
  contest: Contest,
  twins: readonly TwinLayer[],
  batch: Batch,
  side: Side,
  withLora: boolean,
): void {
  const layers = withLora ? twins : twins.map((layer) => ({ ...layer, low: null }));
  const expected = twinGradients(layers, contest.M, batch.xData, batch.lossGradient);
  side.gradients();
  for (const [name, parameter] of side.network.namedParameters()) {
    if (!parameter.requiresGrad || name.endsWith('bias')) continue;
    const { dw, da, db } = expected[Number(/layers\.(\d+)/.exec(name)![1])]!;
    const values = name.includes('lora_A') ? da : name.includes('lora_B') ? db : dw;
    const got = parameter.grad!.copyTo(new Float32Array(parameter.size));
    verifyClose(`${contest.shape} gradient of ${name}`, got, values!);
  }
  const rt = batch.x.runtime;
  const loss = (): number =>
    rt.scope(() => rt.noGrad(() => batch.lossOf(side.network.forward(batch.x)).item()));
  const before = loss();
  for (let i = 0; i < 3; i++) side.step();
  const after = loss();
  if (!(after < before))
    throw new Error(`verify: ${contest.shape}: loss is ${after} after three steps, expected below ${before}`);
}

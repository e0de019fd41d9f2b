/**
 * Full training steps (forward, loss, backward, Adam): LoRA against fine-tuning all weights, for one inner layer and for
 * the MNIST network. Gradients of both are checked against the float64 twin before anything is timed.
 */
import { Adam, Linear, LoraModel, Module, type Runtime, relu, type Tensor } from 'lora-wasm';
import { type Batch, batchOf, type Contest, SCALING, stepFlops, twinLayers } from './contest.js';
import type { Context } from './forward.js';
import { measure, pairedRatio, type Timing } from './measure.js';
import { gflopsOf, OP, PACKAGE, type Row } from './records.js';
import { type TwinLayer, twinGradients } from './twin.js';
import { verifyClose } from './verify.js';

const LEARNING_RATE = 1e-4;

class Network extends Module {
  readonly layers: Module[];

  constructor(rt: Runtime, sizes: Contest['sizes']) {
    super();
    this.layers = sizes.map(([N, K]) => new Linear(rt, K, N));
  }

  override forward(x: Tensor): Tensor {
    return this.layers.reduce((value, layer, i) => layer.forward(i === 0 ? value : relu(value)), x);
  }
}

interface Side {
  readonly network: Module;
  readonly trainable: ReturnType<Module['parameters']>;
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
  const timings = measure(
    [
      { name: OP.loraStep, run: lora.step },
      { name: OP.fullStep, run: full.step },
      { name: OP.ownProducts, run: own.run },
    ],
    context.effort,
  );
  for (const owner of [lora, full, own, ...data.tensors]) owner.dispose();
  const flops = stepFlops(contest);
  const [loraTime, fullTime, ownTime] = [OP.loraStep, OP.fullStep, OP.ownProducts].map(
    (op) => timings.get(op)!,
  );
  return [
    rowOf(context, contest, OP.loraStep, loraTime!, flops.lora, {
      to: OP.fullStep,
      time: fullTime!,
      flops: flops.full,
    }),
    rowOf(context, contest, OP.fullStep, fullTime!, flops.full, null),
    rowOf(context, contest, OP.ownProducts, ownTime!, flops.own, {
      to: OP.loraStep,
      time: loraTime!,
      flops: flops.lora,
    }),
  ];
}

interface Against {
  readonly to: string;
  readonly time: Timing;
  readonly flops: number;
}

function rowOf(
  { rt, ceiling }: Context,
  { shape }: Contest,
  operation: string,
  timing: Timing,
  flops: number,
  against: Against | null,
): Row {
  const gflops = gflopsOf(flops, timing.median);
  return {
    contestant: PACKAGE,
    operation,
    shape,
    kernels: rt.info().kernels,
    threads: 1,
    ...timing,
    gflops,
    percentOfCeiling: ceiling === null ? null : (100 * gflops) / ceiling,
    endToEnd: null,
    ratio: against === null ? null : pairedRatio(timing, against.time),
    flopRatio: against === null ? null : flops / against.flops,
    ratioTo: against?.to ?? null,
  };
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
  return { network, trainable, gradients, step, dispose };
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

/** The forward and dx products that a LoRA step cannot do without, over the same weights, one kernel call each. */
function ownProducts(
  rt: Runtime,
  { M, r, sizes, inner }: Contest,
  network: Module,
): { run: () => void; dispose: () => void } {
  const weights = network
    .namedParameters()
    .filter(([name]) => name.endsWith('.weight') && !name.includes('lora_'));
  const layers = sizes.map(([N, K], i) => ({
    N,
    K,
    w: weights.find(([name]) => name === `layers.${i}.weight`)![1],
    x: rt.uniform([M, K], -1, 1),
    y: rt.zeros([M, N]),
    dy: rt.uniform([M, N], -1, 1),
    dx: rt.zeros([M, K]),
    h: rt.uniform([M, r], -1, 1),
    a: rt.uniform([r, K], -1, 1),
    b: rt.uniform([N, r], -1, 1),
  }));
  const { products } = rt.engine;
  const run = (): void => {
    for (const { N, K, w, x, y, h, b } of layers) {
      products.forward(
        M,
        N,
        K,
        r,
        x.pointer,
        K,
        w.pointer,
        K,
        h.pointer,
        r,
        b.pointer,
        r,
        0,
        0,
        y.pointer,
        N,
      );
    }
    for (let i = layers.length - 1; i >= (inner ? 0 : 1); i--) {
      const { N, K, w, dy, h, a, dx } = layers[i]!;
      products.backwardInput(
        M,
        N,
        K,
        r,
        dy.pointer,
        N,
        w.pointer,
        K,
        h.pointer,
        r,
        a.pointer,
        K,
        0,
        dx.pointer,
        K,
      );
    }
  };
  const dispose = (): void => {
    for (const { x, y, dy, dx, h, a, b } of layers)
      for (const tensor of [x, y, dy, dx, h, a, b]) tensor.dispose();
  };
  return { run, dispose };
}

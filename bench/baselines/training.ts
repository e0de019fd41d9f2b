/**
 * Full training steps (forward, loss, backward, Adam): LoRA against fine-tuning all weights, for one inner layer and for
 * the MNIST network. Gradients of both are checked against float64 before anything is timed.
 */
import { Adam, type Runtime } from 'lora-wasm';
import { verifyClose } from '../../reference/check.js';
import { type TwinLayer, twinGradients } from '../../reference/network.js';
import { type Contest, stepFlops, twinLayers } from '../core/contest.js';
import { expectFalling } from '../core/problem.js';
import { OP, type Row } from '../core/records.js';
import { type Batch, batchOf, copyOf, type Learner, learnerOf } from '../core/step.js';
import { timedRows } from '../core/timed-rows.js';
import type { Context } from './forward.js';
import { ownProducts } from './own-products.js';
import { recordReplay } from './replay.js';

const LEARNING_RATE = 1e-4;
/** Steps until the engine's best compiler has taken over a step's JavaScript: about two thousand in Node 20. */
const WARM_STEPS = 3000;

/** Rows of one contest. */
export function trainingRows(context: Context, contest: Contest): Row[] {
  if (!context.wanted(`training step ${contest.shape}`)) return [];
  const { rt } = context;
  const batch = batchOf(rt, contest);
  const [lora, full] = sidesOf(contest).map((layers) => {
    const side = learnerOf(rt, contest, layers, batch, adamOf);
    checkGradients(contest, layers, batch, side);
    return side;
  }) as [Learner, Learner];
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
  for (const owner of [lora, full, own, batch]) owner.dispose();
  return rows;
}

/** The same layers with adapters, and without. */
function sidesOf(contest: Contest): TwinLayer[][] {
  const layers = twinLayers(contest);
  return [layers, layers.map((layer) => ({ ...layer, low: null }))];
}

const adamOf = (parameters: ConstructorParameters<typeof Adam>[0]): Adam =>
  new Adam(parameters, { lr: LEARNING_RATE });

/** Compiles both sides' steps, on layers so small that it takes no time: a training run is thousands of steps long. */
function warmUp(rt: Runtime, contest: Contest): void {
  const small: Contest = { ...contest, M: 2, r: 1, sizes: contest.sizes.map(() => [8, 8]) };
  const batch = batchOf(rt, small);
  for (const layers of sidesOf(small)) {
    const side = learnerOf(rt, small, layers, batch, adamOf);
    for (let i = 0; i < WARM_STEPS; i++) side.step();
    side.dispose();
  }
  batch.dispose();
}

/** The gradients of the first step, then a loss that falls over a few. @throws Error */
function checkGradients(
  { shape, M }: Contest,
  layers: readonly TwinLayer[],
  batch: Batch,
  { learnt, gradients, loss, step }: Learner,
): void {
  const expected = twinGradients(layers, M, batch.values, batch.lossGradient);
  gradients(() => {});
  for (const { part, layer, parameter } of learnt) {
    if (part === 'bias') continue;
    const { dw, da, db } = expected[layer]!;
    const wanted = { w: dw, a: da, b: db }[part]!;
    verifyClose(`${shape} gradient of ${part} of layer ${layer}`, copyOf(parameter.grad!), wanted);
  }
  const before = loss();
  for (let i = 0; i < 3; i++) step();
  expectFalling(shape, before, loss());
}

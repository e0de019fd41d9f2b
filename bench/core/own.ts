/** This package, as its users call it: a layer's forward in a scope, and a LoRA step with AdamW. */
import {
  AdamW,
  createRuntime,
  Linear,
  LoraLinear,
  type Runtime,
  type RuntimeOptions,
  type Tensor,
} from 'lora-wasm';
import type { LowRank } from '../../reference/network.js';
import { layerContest } from './contest.js';
import { LEARNING_RATE, type Operation, type Prepared, type Problem } from './problem.js';
import { batchOf, copyOf, learnerOf, type Part } from './step.js';

/** One operation over a runtime of whoever calls. */
export function prepareOwn(rt: Runtime, operation: Operation, problem: Problem): Prepared {
  if (operation === 'LoRA training step') return trainingStep(rt, problem);
  const layer = operation === 'LoRA forward' ? loraOf(rt, problem) : linearOf(rt, problem);
  return layerForward(rt, problem, layer);
}

/** A runtime of so many threads. @throws Error where there is none, with its reason */
export async function runtimeOf(options: RuntimeOptions & { threads: number }): Promise<Runtime> {
  const rt = await createRuntime(options);
  const { threads, threadsReason } = rt.info();
  if (threads === options.threads) return rt;
  rt.dispose();
  throw new Error(threadsReason);
}

type Weights = Pick<Problem, 'N' | 'K' | 'w' | 'bias' | 'low'>;

export function linearOf(rt: Runtime, { N, K, w, bias }: Weights): Linear {
  const layer = new Linear(rt, K, N);
  layer.weight.set(w);
  layer.bias!.set(bias);
  return layer;
}

export function loraOf(rt: Runtime, weights: Weights): LoraLinear {
  return adapted(linearOf(rt, weights), weights.low);
}

/** A layer with these factors beside it. */
export function adapted(base: Linear, { r, scaling, a, b }: LowRank): LoraLinear {
  const layer = LoraLinear.from(base, { r, loraAlpha: r * scaling });
  const { A, B } = layer.factors('default');
  A.set(a);
  B.set(b);
  return layer;
}

export function layerForward(rt: Runtime, problem: Problem, layer: Linear | LoraLinear) {
  return forwardOf(rt, problem, [layer], (x) => layer.forward(x));
}

/** A forward over x in the runtime's memory. @param owners - what goes with it */
export function forwardOf(
  rt: Runtime,
  { M, K, x: data }: Problem,
  owners: readonly { dispose(): void }[],
  compute: (x: Tensor) => Tensor,
) {
  const x = rt.tensor(data, [M, K]);
  let y: Tensor | null = null;
  let out: Float32Array | null = null;
  return {
    setX: () => void x.set(data),
    run: (): void => {
      y?.dispose();
      y = rt.noGrad(() => compute(x));
    },
    read: () => {
      out ??= new Float32Array(y!.size);
      return { y: y!.copyTo(out) };
    },
    dispose: () => {
      for (const owner of [...owners, x, y]) owner?.dispose();
    },
  };
}

function trainingStep(rt: Runtime, problem: Problem): Prepared {
  const { M, N, K, low } = problem;
  const contest = layerContest(M, N, K, low.r);
  const batch = batchOf(rt, contest);
  const { learnt, gradients, step, loss, dispose } = learnerOf(
    rt,
    contest,
    [problem],
    batch,
    (parameters) => new AdamW(parameters, { lr: LEARNING_RATE, weightDecay: 0.01 }),
  );
  const gradientOf = (wanted: Part): Float32Array =>
    copyOf(learnt.find(({ part }) => part === wanted)!.parameter.grad!);
  return {
    run: step,
    read: () => gradients((x) => ({ da: gradientOf('a'), db: gradientOf('b'), dx: copyOf(x.grad!) })),
    loss,
    dispose: () => {
      for (const owner of [{ dispose }, batch]) owner.dispose();
    },
  };
}

/** This package, as its users call it: a layer's forward in a scope, and a LoRA step with AdamW. */
import {
  AdamW,
  createRuntime,
  Linear,
  LoraLinear,
  mseLoss,
  type Runtime,
  type RuntimeOptions,
  type Tensor,
} from 'lora-wasm';
import type { LowRank } from '../../reference/network.js';
import { LEARNING_RATE, type Operation, type Prepared, type Problem } from './problem.js';

/** One operation over a runtime of whoever calls. */
export function prepareOwn(rt: Runtime, operation: Operation, problem: Problem): Prepared {
  if (operation === 'LoRA training step') return trainingStep(rt, problem);
  const layer = operation === 'LoRA forward' ? loraOf(rt, problem) : linearOf(rt, problem);
  return forwardOf(rt, problem, [layer], (x) => layer.forward(x));
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
  const { M, N, K } = problem;
  const layer = loraOf(rt, problem);
  const data = rt.tensor(problem.x, [M, K]);
  const target = rt.tensor(problem.target, [M, N]);
  const named = layer.namedParameters().filter(([, parameter]) => parameter.requiresGrad);
  const adam = new AdamW(
    named.map(([, parameter]) => parameter),
    { lr: LEARNING_RATE, weightDecay: 0.01 },
  );
  const loss = (x: Tensor): Tensor => mseLoss(layer.forward(x), target);
  const [a, b] = ['lora_A', 'lora_B'].map((part) => named.find(([name]) => name.includes(part))![1]);
  const backward = <T>(after: (x: Tensor) => T): T =>
    rt.scope(() => {
      const x = data.detach();
      x.requiresGrad = true;
      loss(x).backward();
      return after(x);
    });
  return {
    run: () => {
      adam.zeroGrad();
      backward(() => adam.step());
    },
    read: () => backward((x) => ({ da: copyOf(a!.grad!), db: copyOf(b!.grad!), dx: copyOf(x.grad!) })),
    loss: () => rt.scope(() => rt.noGrad(() => loss(data).item())),
    dispose: () => {
      for (const owner of [adam, layer, data, target]) owner.dispose();
    },
  };
}

function copyOf(tensor: Tensor): Float32Array {
  return tensor.copyTo(new Float32Array(tensor.size));
}

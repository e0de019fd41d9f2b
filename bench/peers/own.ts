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
import { PACKAGE } from '../records.js';
import { LEARNING_RATE, type Loader, type Peer, type Prepared } from './peer.js';
import type { Problem } from './problem.js';

export const loadOwn: Loader = async ({ threads }): Promise<Peer> => {
  const rt = await runtimeOf(threads);
  const info = rt.info();
  if (info.threads !== threads) throw new Error(info.threadsReason);
  return peerOf(rt);
};

/** The contestant over a runtime of whoever calls. */
export function peerOf(rt: Runtime): Peer {
  const { kernels, threads } = rt.info();
  return {
    name: PACKAGE,
    version: '',
    settings: `${kernels} kernels, AdamW`,
    kernels,
    threads,
    lacks: {},
    prepare: (operation, problem) => {
      if (operation === 'LoRA training step') return trainingStep(rt, problem);
      return forward(rt, problem, operation === 'LoRA forward');
    },
  };
}

/** A runtime of so many threads; where the runtime does not know the option yet, one of its own choice. */
async function runtimeOf(threads: number): Promise<Runtime> {
  const options: RuntimeOptions & { threads: number } = { threads };
  try {
    return await createRuntime(options);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return createRuntime();
  }
}

function linearOf(rt: Runtime, { N, K, w, bias }: Problem): Linear {
  const layer = new Linear(rt, K, N);
  layer.weight.set(w);
  layer.bias!.set(bias);
  return layer;
}

function loraOf(rt: Runtime, problem: Problem): LoraLinear {
  const { low } = problem;
  const options = { r: low.r, loraAlpha: low.r * low.scaling };
  const layer = LoraLinear.from(linearOf(rt, problem), options);
  for (const [name, parameter] of layer.namedParameters()) {
    if (name.includes('lora_A')) parameter.set(low.a);
    if (name.includes('lora_B')) parameter.set(low.b);
  }
  return layer;
}

function forward(rt: Runtime, problem: Problem, withLora: boolean): Prepared {
  const layer = withLora ? loraOf(rt, problem) : linearOf(rt, problem);
  const x = rt.tensor(problem.x, [problem.M, problem.K]);
  let y: Tensor | null = null;
  return {
    run: () => {
      y?.dispose();
      y = rt.noGrad(() => layer.forward(x));
    },
    read: () => ({ y: copyOf(y!) }),
    dispose: () => {
      for (const owner of [layer, x, y]) owner?.dispose();
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

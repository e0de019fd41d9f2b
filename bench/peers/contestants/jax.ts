/** @jax-js/jax on its wasm device: everything of one call in one jitted function, W as it lies. */
import { LEARNING_RATE, type Prepared, type Problem } from '../../core/problem.js';
import pins from '../package.json' with { type: 'json' };
import type { Loader, Peer, Place } from '../peer.js';

type Jax = typeof import('@jax-js/jax');
type JaxArray = ReturnType<Jax['numpy']['array']>;

const [BETA1, BETA2, EPSILON, DECAY] = [0.9, 0.999, 1e-8, 0.01];

export const loadJax: Loader = async ({ threads }: Place): Promise<Peer> => {
  const workers = typeof SharedArrayBuffer !== 'undefined' && typeof Worker !== 'undefined';
  if (threads > 1 && !workers) throw new Error('jax-js has threads where a global Worker is, not in Node');
  if (threads === 1) hideWorker();
  const jax = await import('@jax-js/jax');
  await jax.init('wasm');
  jax.defaultDevice('wasm');
  return {
    name: '@jax-js/jax',
    version: pins.dependencies['@jax-js/jax'],
    settings:
      'wasm device, W as [N,K], everything jitted, AdamW written out (its optimisers are another package)',
    kernels: 'own',
    threads,
    lacks: {},
    prepare: (operation, problem) =>
      operation === 'LoRA training step'
        ? trainingStep(jax, problem)
        : forward(jax, problem, operation === 'LoRA forward'),
  };
};

/**
 * It takes every core when it sees Worker, and looks again at every kernel; in Node onnxruntime-web leaves one there. On
 * one thread nobody here needs it.
 */
function hideWorker(): void {
  Object.defineProperty(globalThis, 'Worker', { get: () => undefined, set: () => {}, configurable: true });
}

async function floatsOf(array: JaxArray): Promise<Float32Array> {
  return Float32Array.from(await array.data());
}

interface Layer {
  readonly x: JaxArray;
  readonly w: JaxArray;
  readonly bias: JaxArray;
  readonly a: JaxArray;
  readonly b: JaxArray;
}

function layerOf({ numpy: np }: Jax, { M, N, K, x, w, bias, low }: Problem): Layer {
  const array = (data: Float32Array, shape: number[]): JaxArray => np.array(data.slice()).reshape(shape);
  return {
    x: array(x, [M, K]),
    w: array(w, [N, K]),
    bias: array(bias, [N]),
    a: array(low.a, [low.r, K]),
    b: array(low.b, [N, low.r]),
  };
}

/** y with the low-rank part. Consumes its arguments, as every function of jax-js does. */
function adapted({ numpy: np }: Jax, scaling: number) {
  return (x: JaxArray, w: JaxArray, bias: JaxArray, a: JaxArray, b: JaxArray): JaxArray => {
    const plain = np.matmul(x.ref, w.transpose()).add(bias);
    return plain.add(np.matmul(np.matmul(x, a.transpose()), b.transpose()).mul(scaling));
  };
}

function forward(jax: Jax, problem: Problem, withLora: boolean): Prepared {
  const { numpy: np } = jax;
  const layer = layerOf(jax, problem);
  const { x, w, bias, a, b } = layer;
  const lora = jax.jit(adapted(jax, problem.low.scaling));
  const plain = jax.jit((x: JaxArray, w: JaxArray, bias: JaxArray) => np.matmul(x, w.transpose()).add(bias));
  let y: JaxArray | null = null;
  return {
    run: async () => {
      y?.dispose();
      y = withLora ? lora(x.ref, w.ref, bias.ref, a.ref, b.ref) : plain(x.ref, w.ref, bias.ref);
      await jax.blockUntilReady(y);
    },
    read: async () => ({ y: await floatsOf(y!.ref) }),
    dispose: () => {
      for (const array of [...Object.values(layer), y]) array?.dispose();
    },
  };
}

function trainingStep(jax: Jax, problem: Problem): Prepared {
  const { numpy: np } = jax;
  const { M, N } = problem;
  const { x, w, bias, a, b } = layerOf(jax, problem);
  const target = np.array(problem.target.slice()).reshape([M, N]);
  const layer = adapted(jax, problem.low.scaling);
  const lossOf = (x: JaxArray, a: JaxArray, b: JaxArray, w: JaxArray, bias: JaxArray, t: JaxArray) =>
    np.mean(np.square(layer(x, w, bias, a, b).sub(t)));
  const gradients = jax.jit(jax.grad(lossOf, { argnums: [0, 1, 2] }));
  const loss = jax.jit(lossOf);
  /** One AdamW update of a factor; the corrections for the start come as arguments. */
  const adamW = jax.jit(
    (p: JaxArray, g: JaxArray, m: JaxArray, v: JaxArray, first: JaxArray, second: JaxArray): JaxArray[] => {
      const mean = m.mul(BETA1).add(g.ref.mul(1 - BETA1));
      const spread = v.mul(BETA2).add(np.square(g).mul(1 - BETA2));
      const root = np.sqrt(spread.ref.mul(second)).add(EPSILON);
      const move = mean.ref.mul(first).div(root).mul(LEARNING_RATE);
      return [p.mul(1 - LEARNING_RATE * DECAY).sub(move), mean, spread];
    },
  );
  /** Each with its two moments. */
  const factors = [a, b].map((start) => [start, np.zeros(start.shape), np.zeros(start.shape)]);
  let steps = 0;
  const inputs = (): Parameters<typeof lossOf> => {
    const [ownA, ownB] = factors.map(([factor]) => factor!.ref);
    return [x.ref, ownA!, ownB!, w.ref, bias.ref, target.ref];
  };
  return {
    run: async () => {
      steps++;
      const [dx, ...grads] = gradients(...inputs());
      for (const [i, g] of grads.entries()) {
        const [p, m, v] = factors[i] as [JaxArray, JaxArray, JaxArray];
        const [first, second] = [BETA1, BETA2].map((beta) =>
          np.array(Float32Array.of(1 / (1 - beta ** steps))),
        );
        factors[i] = adamW(p, g, m, v, first!, second!);
      }
      await jax.blockUntilReady([dx!, ...factors.flat()]);
      dx!.dispose();
    },
    read: async () => {
      const [dx, da, db] = gradients(...inputs());
      return { dx: await floatsOf(dx!), da: await floatsOf(da!), db: await floatsOf(db!) };
    },
    loss: async () => (await floatsOf(loss(...inputs())))[0]!,
    dispose: () => {
      for (const array of [x, w, bias, target, ...factors.flat()]) array.dispose();
    },
  };
}

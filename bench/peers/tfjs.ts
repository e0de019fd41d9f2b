/**
 * @tensorflow/tfjs on its wasm backend. Its product is fast only for two operands that lie as it reads them: W is kept
 * twice, [K,N] for forward and [N,K] for backward, and a gradient of our own takes the second where tfjs would transpose.
 */
import type { Tensor, Tfjs, Variable } from '@tensorflow/tfjs';
import type { TfjsWasm } from '@tensorflow/tfjs-backend-wasm';
import { transposed } from './arrays.js';
import { LEARNING_RATE, type Loader, type Peer, type Place, type Prepared } from './peer.js';
import type { Problem } from './problem.js';

/** tfjs with the wasm backend ready. @throws Error when it cannot have these threads here */
export async function startTfjs({ threads, filesOf }: Place): Promise<{ tf: Tfjs; wasm: TfjsWasm }> {
  const tf = unwrapped(await import('@tensorflow/tfjs'));
  const wasm = unwrapped(await import('@tensorflow/tfjs-backend-wasm'));
  if (threads > 1 && !(await tf.env().getAsync('WASM_HAS_MULTITHREAD_SUPPORT')))
    throw new Error('tfjs-backend-wasm has threads in isolated pages only, not in Node');
  if (threads === 1) tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  wasm.setWasmPaths(filesOf('@tensorflow/tfjs-backend-wasm'));
  if (threads > 1) {
    wasm.setThreadsCount(threads);
    // It never takes more than half the cores: it is told of twice as many while it starts.
    Object.defineProperty(navigator, 'hardwareConcurrency', { value: 2 * threads, configurable: true });
  }
  await tf.setBackend('wasm');
  await tf.ready();
  if (threads > 1) Reflect.deleteProperty(navigator, 'hardwareConcurrency');
  if (tf.getBackend() !== 'wasm') throw new Error(`tfjs runs on ${tf.getBackend()}, expected wasm`);
  if (wasm.getThreadsCount() !== threads && threads > 1)
    throw new Error(`tfjs runs on ${wasm.getThreadsCount()} threads, expected ${threads}`);
  return { tf, wasm };
}

/** In Node both are CommonJS, in a bundle their names stand on the module itself. */
function unwrapped<T>(module: { default: T }): T {
  return module.default ?? (module as unknown as T);
}

export const loadTfjs: Loader = async (place): Promise<Peer> => {
  const { tf, wasm } = await startTfjs(place);
  return {
    name: '@tensorflow/tfjs',
    version: `${tf.version.tfjs}, backend ${wasm.version_wasm}`,
    settings: 'wasm backend with SIMD, W kept twice, Adam (it has no AdamW)',
    kernels: 'own',
    threads: place.threads,
    lacks: {},
    prepare: (operation, problem) =>
      operation === 'LoRA training step'
        ? trainingStep(tf, problem)
        : forward(tf, problem, operation === 'LoRA forward'),
  };
};

interface Layer {
  readonly x: Tensor;
  readonly w: Tensor;
  readonly bias: Tensor;
  readonly a: Tensor;
  readonly b: Tensor;
}

/** x, W and the factors as [K,r] and [r,N], so that no product transposes. */
function layerOf(tf: Tfjs, { M, N, K, x, w, bias, low }: Problem): Layer {
  return {
    x: tf.tensor2d(x, [M, K]),
    w: tf.tensor2d(transposed(w, N, K), [K, N]),
    bias: tf.tensor1d(bias),
    a: tf.tensor2d(transposed(low.a, low.r, K), [K, low.r]),
    b: tf.tensor2d(transposed(low.b, N, low.r), [low.r, N]),
  };
}

function forward(tf: Tfjs, problem: Problem, withLora: boolean): Prepared {
  const layer = layerOf(tf, problem);
  const { x, w, bias, a, b } = layer;
  let y: Tensor | null = null;
  const compute = (): Tensor => {
    const plain = tf.matMul(x, w).add(bias);
    return withLora ? plain.add(tf.matMul(tf.matMul(x, a), b).mul(problem.low.scaling)) : plain;
  };
  return {
    run: () => {
      y?.dispose();
      y = tf.tidy(compute);
    },
    read: () => ({ y: Float32Array.from(y!.dataSync()) }),
    dispose: () => {
      for (const tensor of [...Object.values(layer), y]) tensor?.dispose();
    },
  };
}

function trainingStep(tf: Tfjs, problem: Problem): Prepared {
  const { N, M, K, low } = problem;
  const { x: input, w, bias, a: aStart, b: bStart } = layerOf(tf, problem);
  const wBack = tf.tensor2d(problem.w, [N, K]);
  const target = tf.tensor2d(problem.target, [M, N]);
  const [x, a, b] = [input, aStart, bStart].map((start) => tf.variable(start)) as [
    Variable,
    Variable,
    Variable,
  ];
  const adam = tf.train.adam(LEARNING_RATE);
  const frozen = tf.customGrad((v) => ({ value: tf.matMul(v, w), gradFunc: (dy) => tf.matMul(dy, wBack) }));
  const loss = (): Tensor => {
    const y = frozen(x)
      .add(bias)
      .add(tf.matMul(tf.matMul(x, a), b).mul(low.scaling));
    return tf.losses.meanSquaredError(target, y);
  };
  const gradients = () => tf.variableGrads(loss, [x, a, b]).grads;
  return {
    run: () =>
      tf.tidy(() => {
        const grads = gradients();
        adam.applyGradients({ [a.name]: grads[a.name]!, [b.name]: grads[b.name]! });
      }),
    read: () =>
      tf.tidy(() => {
        const grads = gradients();
        const of = (variable: Variable): Float32Array => Float32Array.from(grads[variable.name]!.dataSync());
        return { da: transposed(of(a), K, low.r), db: transposed(of(b), low.r, N), dx: of(x) };
      }),
    loss: () => tf.tidy(() => loss().dataSync()[0]!),
    dispose: () => {
      for (const owner of [input, aStart, bStart, x, a, b, w, wBack, bias, target, adam]) owner.dispose();
    },
  };
}

/**
 * @tensorflow/tfjs on its wasm backend, as its users call it: x·W with W as [K,N], and its own gradients. Its product is fast
 * for two operands as they lie and about twelve times slower for a transposed one, which its gradients ask for;
 * `tfjs-custom.ts` goes round that.
 */
import type { NamedTensorMap, Scalar, Tensor, Variable } from '@tensorflow/tfjs';
import { LEARNING_RATE, type Prepared, type Problem } from '../../core/problem.js';
import type { Loader, Peer, Place } from '../peer.js';

export type Tfjs = typeof import('@tensorflow/tfjs');
type TfjsWasm = typeof import('@tensorflow/tfjs-backend-wasm');

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
function unwrapped<T>(module: T | { default: T }): T {
  return (module as { default?: T }).default ?? (module as T);
}

/** The transpose of a row-major [rows, columns] matrix. */
export function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) result[j * rows + i] = values[i * columns + j]!;
  return result;
}

export const loadTfjs: Loader = async (place): Promise<Peer> => {
  const { tf, wasm } = await startTfjs(place);
  return {
    ...describeTfjs(tf, wasm, place),
    settings:
      'wasm backend with SIMD, W as [K,N], fused.matMul forward, its own gradients, Adam (it has no AdamW)',
    lacks: {},
    prepare: (operation, problem) =>
      operation === 'LoRA training step'
        ? trainingStep(tf, problem, (w) => ({
            withW: (x) => tf.matMul(x, w),
            product: (left, right) => tf.matMul(left, right),
            dispose: () => {},
          }))
        : forward(tf, problem, operation === 'LoRA forward'),
  };
};

/** What every variant of it is. */
export function describeTfjs(
  tf: Tfjs,
  wasm: TfjsWasm,
  { threads }: Place,
): Pick<Peer, 'name' | 'version' | 'kernels' | 'threads'> {
  const version = `${tf.version.tfjs}, backend ${wasm.version_wasm}`;
  return { name: '@tensorflow/tfjs', version, kernels: 'own', threads };
}

/** The products of a training step, each with the gradient of its variant. */
export interface Products {
  /** x·W. */
  withW(x: Tensor): Tensor;
  product(left: Tensor, right: Tensor): Tensor;
  dispose(): void;
}

/** x, W and the factors as [K,r] and [r,N], so that no product transposes. */
export function layerOf(tf: Tfjs, { M, N, K, x, w, bias, low }: Problem) {
  return {
    x: tf.tensor2d(x, [M, K]),
    w: tf.tensor2d(transposed(w, N, K), [K, N]),
    bias: tf.tensor1d(bias),
    a: tf.tensor2d(transposed(low.a, low.r, K), [K, low.r]),
    b: tf.tensor2d(transposed(low.b, N, low.r), [low.r, N]),
  };
}

interface Owner {
  dispose(): void;
}

/** @param owners - what goes with it */
export function forwardOver(tf: Tfjs, compute: () => Tensor, owners: readonly Owner[]): Prepared {
  let y: Tensor | null = null;
  return {
    run: () => {
      y?.dispose();
      y = tf.tidy(compute);
    },
    read: () => ({ y: Float32Array.from(y!.dataSync()) }),
    dispose: () => {
      for (const owner of [...owners, y]) owner?.dispose();
    },
  };
}

/** What a step learns, and how. */
interface Step {
  readonly x: Variable;
  /** [K, r] and [r, N]. */
  readonly a: Variable;
  readonly b: Variable;
  readonly loss: () => Scalar;
  /** The optimiser, over gradients by the names of a and b. */
  readonly apply: (gradients: NamedTensorMap) => void;
}

export function stepOver(
  tf: Tfjs,
  { K, N, low }: Problem,
  { x, a, b, loss, apply }: Step,
  owners: readonly Owner[],
): Prepared {
  const gradients = (): NamedTensorMap => tf.variableGrads(loss, [x, a, b]).grads;
  return {
    run: () =>
      tf.tidy(() => {
        const grads = gradients();
        apply({ [a.name]: grads[a.name]!, [b.name]: grads[b.name]! });
      }),
    read: () =>
      tf.tidy(() => {
        const grads = gradients();
        const of = (variable: Variable): Float32Array => Float32Array.from(grads[variable.name]!.dataSync());
        return { da: transposed(of(a), K, low.r), db: transposed(of(b), low.r, N), dx: of(x) };
      }),
    loss: () => tf.tidy(() => loss().dataSync()[0]!),
    dispose: () => {
      for (const owner of [x, a, b, ...owners]) owner.dispose();
    },
  };
}

/** A bias added by the product saves a pass over y; in one row the call costs more than that. */
function forward(tf: Tfjs, problem: Problem, withLora: boolean): Prepared {
  const layer = layerOf(tf, problem);
  const { x, w, bias, a, b } = layer;
  const compute = (): Tensor => {
    const plain = problem.M > 1 ? tf.fused.matMul({ a: x, b: w, bias }) : tf.matMul(x, w).add(bias);
    return withLora ? plain.add(tf.matMul(tf.matMul(x, a), b).mul(problem.low.scaling)) : plain;
  };
  return forwardOver(tf, compute, Object.values(layer));
}

/** Forward, backward and Adam; W, [K,N], is a constant. */
export function trainingStep(tf: Tfjs, problem: Problem, productsOf: (w: Tensor) => Products): Prepared {
  const layer = layerOf(tf, problem);
  const { w, bias } = layer;
  const products = productsOf(w);
  const target = tf.tensor2d(problem.target, [problem.M, problem.N]);
  const [x, a, b] = [tf.variable(layer.x), tf.variable(layer.a), tf.variable(layer.b)];
  const adam = tf.train.adam(LEARNING_RATE);
  const loss = (): Scalar => {
    const branch = products.product(products.product(x, a), b).mul(problem.low.scaling);
    const y = products.withW(x).add(bias).add(branch);
    return tf.losses.meanSquaredError(target, y);
  };
  const apply = (grads: NamedTensorMap): void =>
    adam.applyGradients(Object.entries(grads).map(([name, tensor]) => ({ name, tensor })));
  return stepOver(tf, problem, { x, a, b, loss, apply }, [...Object.values(layer), products, target, adam]);
}

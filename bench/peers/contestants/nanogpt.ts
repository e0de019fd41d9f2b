/**
 * @genai-fi/nanogpt: a LoRA layer as it computes one, W + scaling·A·B made anew at every read, one product with it, and
 * its own AdamW. It has no wasm backend of its own; its tensors run on tfjs's here, which is faster than its `cpu`.
 */
import type { NamedTensorMap, Scalar, Tensor } from '@tensorflow/tfjs';
import { LEARNING_RATE, type Prepared, type Problem } from '../../core/problem.js';
import pins from '../package.json' with { type: 'json' };
import type { Loader, Peer } from '../peer.js';
import { forwardOver, layerOf, startTfjs, stepOver, type Tfjs } from './tfjs.js';

/** Its LoRA is behind no entry of the package: the files are named. */
async function importParts() {
  const { default: LoRA } = await import('../node_modules/@genai-fi/nanogpt/dist/layers/LoRA.js');
  const { default: WeightStore } = await import(
    '../node_modules/@genai-fi/nanogpt/dist/layers/WeightStore.js'
  );
  const { AdamWOptimizer } = await import('../node_modules/@genai-fi/nanogpt/dist/training/AdamW.js');
  return { LoRA, WeightStore, AdamWOptimizer };
}

type Parts = Awaited<ReturnType<typeof importParts>>;

export const loadNanogpt: Loader = async (place): Promise<Peer> => {
  const { tf } = await startTfjs(place);
  // Its bundle of tfjs asks Node for `util` in a way that only CommonJS answers: it is told that this is a browser.
  tf.env().set('IS_BROWSER', true);
  tf.env().set('IS_NODE', false);
  const parts = await importParts();
  const has = (name: string): boolean => tf.getKernelsForBackend('wasm').some((k) => k.kernelName === name);
  for (const kernel of tf.getKernelsForBackend('cpu')) {
    const { kernelName } = kernel;
    if (/^Adam/.test(kernelName) && !has(kernelName)) tf.registerKernel({ ...kernel, backendName: 'wasm' });
  }
  return {
    name: '@genai-fi/nanogpt',
    version: pins.dependencies['@genai-fi/nanogpt'],
    settings: "its LoRA and AdamW over tfjs's wasm backend (its own choices are cpu, webgl, webgpu)",
    kernels: 'own',
    threads: place.threads,
    lacks: { 'linear forward': 'the product is that of tfjs, measured there' },
    prepare: (operation, problem) => prepare(tf, parts, problem, operation === 'LoRA training step'),
  };
};

function prepare(tf: Tfjs, parts: Parts, problem: Problem, step: boolean): Prepared {
  const { low } = problem;
  const layer = layerOf(tf, problem);
  const { bias } = layer;
  const store = new parts.WeightStore();
  store.addVariable('w', tf.variable(layer.w, false));
  const lora = new parts.LoRA('bench', store, low.r * low.scaling, low.r, ['w']);
  lora.attach();
  const [a, b] = [store.getRawVariable('w_bench_loraA'), store.getRawVariable('w_bench_loraB')];
  a.assign(layer.a);
  b.assign(layer.b);
  const x = tf.variable(layer.x);
  const target = tf.tensor2d(problem.target, [problem.M, problem.N]);
  const forward = (): Tensor => tf.matMul(x, store.getVariable('w')).add(bias);
  const loss = (): Scalar => tf.losses.meanSquaredError(target, forward());
  const options = { learningRate: LEARNING_RATE, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, lossScaling: 1 };
  const schedule = { warmupSteps: 0, epochSteps: 1e6, decayEpochs: 1, minLearningRate: LEARNING_RATE };
  const adam = new parts.AdamWOptimizer({ ...options, ...schedule, weightDecay: 0.01 });
  const apply = (grads: NamedTensorMap): void => void adam.applyGradients(grads);
  const owners = [lora, store, target, adam, ...Object.values(layer)];
  return step
    ? stepOver(tf, problem, { x, a, b, loss, apply }, owners)
    : forwardOver(tf, forward, [x, ...owners]);
}

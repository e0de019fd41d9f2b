/**
 * @tensorflow/tfjs with gradients written for it: every transpose is a copy of its own, so that no product meets a transposed
 * operand, and W is kept twice, [K,N] for forward and [N,K] for backward. Several times faster than its own gradients.
 */
import type { Tensor } from '@tensorflow/tfjs';
import type { Problem } from '../../core/problem.js';
import type { Loader, Peer } from '../peer.js';
import { describeTfjs, type Products, startTfjs, type Tfjs, trainingStep } from './tfjs.js';

const SAME_FORWARD = 'a gradient changes no forward: it is that of @tensorflow/tfjs';

export const loadTfjsCustom: Loader = async (place): Promise<Peer> => {
  const { tf, wasm } = await startTfjs(place);
  return {
    ...describeTfjs(tf, wasm, place),
    variant: 'custom gradient',
    settings:
      'wasm backend with SIMD, gradients written for this comparison, W kept twice, Adam (it has no AdamW)',
    lacks: { 'linear forward': SAME_FORWARD, 'LoRA forward': SAME_FORWARD },
    prepare: (_operation, problem) => trainingStep(tf, problem, (w) => customProducts(tf, problem, w)),
  };
};

/** One product with its own gradients; tfjs types every argument as what may be its function that saves. */
function customProducts(tf: Tfjs, { N, K, w }: Problem, forward: Tensor): Products {
  const backward = tf.tensor2d(w, [N, K]);
  const withW = tf.customGrad((x) => ({
    value: tf.matMul(x as Tensor, forward),
    gradFunc: (dy: Tensor) => tf.matMul(dy, backward),
  }));
  const product = tf.customGrad((...inputs) => {
    const [left, right, save] = inputs as [Tensor, Tensor, (kept: Tensor[]) => void];
    save([left, right]);
    const gradFunc = (dy: Tensor, [a, b]: Tensor[]): Tensor[] => [
      tf.matMul(dy, tf.transpose(b!)),
      tf.matMul(tf.transpose(a!), dy),
    ];
    return { value: tf.matMul(left, right), gradFunc };
  });
  return { withW, product, dispose: () => backward.dispose() };
}

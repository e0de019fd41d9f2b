/**
 * @tensorflow/tfjs with gradients written for it: every transpose is a copy of its own, so that no product meets a transposed
 * operand, and W is kept twice, [K,N] for forward and [N,K] for backward. Several times faster than its own gradients.
 */
import type { Tensor, Tfjs } from '@tensorflow/tfjs';
import type { Problem } from '../core/problem.js';
import { CUSTOM_GRADIENT, type Loader, type Peer } from './peer.js';
import { describeTfjs, type Products, startTfjs, TFJS, trainingStep } from './tfjs.js';

const SAME_FORWARD = `a gradient changes no forward: it is that of ${TFJS}`;

export const loadTfjsCustom: Loader = async (place): Promise<Peer> => {
  const { tf, wasm } = await startTfjs(place);
  return {
    ...describeTfjs(tf, wasm, place),
    variant: CUSTOM_GRADIENT,
    settings:
      'wasm backend with SIMD, gradients written for this comparison, W kept twice, Adam (it has no AdamW)',
    lacks: { 'linear forward': SAME_FORWARD, 'LoRA forward': SAME_FORWARD },
    prepare: (_operation, problem) => trainingStep(tf, problem, (w) => customProducts(tf, problem, w)),
  };
};

type Pair = [Tensor, Tensor];

function customProducts(tf: Tfjs, { N, K, w }: Problem, forward: Tensor): Products {
  const backward = tf.tensor2d(w, [N, K]);
  const gradients = (dy: Tensor, [left, right]: Pair): Pair => [
    tf.matMul(dy, tf.transpose(right)),
    tf.matMul(tf.transpose(left), dy),
  ];
  return {
    withW: tf.customGrad((x) => ({
      value: tf.matMul(x, forward),
      gradFunc: (dy) => tf.matMul(dy, backward),
    })),
    product: tf.customGrad((left: Tensor, right: Tensor, save: (inputs: Pair) => void) => {
      save([left, right]);
      return { value: tf.matMul(left, right), gradFunc: gradients };
    }),
    dispose: () => backward.dispose(),
  };
}

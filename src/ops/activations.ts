/** Smooth activations. Their backward needs the output alone. */
import type { Tensor } from '../tensor/tensor.js';
import { checkTensors } from './check.js';

/** y = tanh(x). @throws TypeError */
export function tanh(x: Tensor): Tensor {
  return activation('tanh', x);
}

/** y = 1/(1 + e^-x). @throws TypeError */
export function sigmoid(x: Tensor): Tensor {
  return activation('sigmoid', x);
}

function activation(name: 'tanh' | 'sigmoid', x: Tensor): Tensor {
  const rt = checkTensors(name, { x });
  const { kernels } = rt.engine;
  const y = rt.empty(x.shape, 'f32');
  kernels[`${name}Forward`](y.size, x.pointer, y.pointer);
  const { storage, offset } = y;
  return rt.record(y, {
    name,
    inputs: [x],
    saved: [y],
    backward: ({ dy, target }) => {
      const dx = target(0);
      if (dx !== null)
        kernels[`${name}Backward`](dy.size, storage.pointer + offset, dy.pointer, dx.accumulate, dx.pointer);
    },
  });
}

/** The gated activation of a feed-forward layer, and its backward from the two inputs. */

import { activate, activateGateGradient, activateUpGradient } from '../engine/transformer.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkSameShape, checkTensors } from './check.js';

/**
 * y = silu(gate) ⊙ up with silu(x) = x/(1 + e^-x) (Shazeer, arXiv 2002.05202).
 * @param gate - float32 of any shape
 * @param up - of the same shape
 * @throws TypeError, RangeError
 * @example
 * const y = swiglu(gateProj.forward(x), upProj.forward(x));
 */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  const where = 'swiglu';
  const rt = checkTensors(where, { gate, up });
  checkSameShape(where, 'gate', gate, 'up', up);
  const { engine } = rt;
  const y = rt.empty(gate.shape, 'f32');
  activate(engine, y.size, { gate: gate.pointer, up: up.pointer }, y.pointer);
  return rt.record(y, {
    name: where,
    inputs: { gate, up },
    keep: { gate, up: gate.requiresGrad ? up : null },
    backward({ dy, at, grad }) {
      const du = grad('up');
      if (du !== null) activateUpGradient(engine, dy.size, { gate: at('gate'), dy: dy.pointer }, du);
      const dg = grad('gate');
      if (dg === null) return;
      activateGateGradient(engine, dy.size, { gate: at('gate'), up: at('up'), dy: dy.pointer }, dg);
    },
  });
}

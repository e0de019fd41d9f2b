/** Deltas and norms of a convolution's weight, [O, C] as a matrix where every output sees every channel, [O, C/groups] where it does not. */
import { addProduct, affineRows, rowNorms, scaleTo } from '../../engine/matrices.js';
import { matrix } from '../../engine/operands.js';
import { elementsOf, expandElements } from '../../ops/expanded.js';
import type { Runtime } from '../../tensor/runtime.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type LoraFactors, strengthOf } from './factors.js';

/** O outputs over windows of C elements of all channels. */
export interface ConvLayout {
  readonly rt: Runtime;
  readonly O: number;
  readonly C: number;
  readonly groups: number;
}

/** out = w + strength·delta, [O, C]: every group of B's outputs over its own rows of A; w may be 0 or out. */
export function addConvDelta(
  { rt, O, C, groups }: ConvLayout,
  factors: LoraFactors,
  w: number,
  out: number,
): void {
  const { kernels } = rt.engine;
  const { A, B } = factors;
  if (w === 0) kernels.fill(O * C, 0, out);
  else if (w !== out) kernels.scale(O * C, 1, w, out);
  const [n, r] = [O / groups, A.shape[0]! / groups];
  for (let g = 0; g < groups; g++) {
    const a = matrix(A.pointer + 4 * g * r * C, r, C);
    const b = matrix(B.pointer + 4 * g * n * r, n, r);
    const to = matrix(out + 4 * g * n * C, n, C);
    addProduct(kernels, { s: strengthOf(factors), b, a, w: to, out: to });
  }
}

/**
 * ‖w + strength·delta‖ of every output. With groups these are PEFT's norms, not those of the delta that acts: B [out, r/groups]
 * is read as a matrix [out/groups, r], its product with A [r, in·kh·kw] as one in the base weight's shape. So a row of it
 * makes `groups` outputs, each from a share of A's columns. Adapters are trained with them, here and there: the magnitude
 * fits no other.
 * @param w - the weight that the base has, [O, C/groups]
 */
export function convNorms(
  { rt, O, C, groups }: ConvLayout,
  factors: LoraFactors,
  w: Tensor,
  out: number,
): void {
  const { kernels } = rt.engine;
  const { A, B } = factors;
  const [own, r] = [C / groups, A.shape[0]!];
  const b = matrix(B.pointer, O / groups, r);
  const sum = rt.empty([O, own], 'f32');
  expandElements(rt, elementsOf(w), sum.pointer);
  for (let g = 0; g < groups; g++) {
    const a = matrix(A.pointer + 4 * g * own, r, own, C);
    const to = matrix(sum.pointer + 4 * g * own, O / groups, own, C);
    addProduct(kernels, { s: strengthOf(factors), b, a, w: to, out: to });
  }
  rowNorms(kernels, matrix(sum.pointer, O, own), out);
  sum.dispose();
}

/** Multiplies every output of a weight [O, C] by its g. */
export function scaleConvOutputs({ rt, O, C }: ConvLayout, g: number, weight: number): void {
  const w = matrix(weight, O, C);
  affineRows(rt.engine.kernels, { x: w, scale: g, shift: 0, y: w });
}

/** A float32 weight [O, C/groups] as one [O, C], zero where a group does not see. */
export function expandGroups({ rt, O, C, groups }: ConvLayout, weight: number, to: number): void {
  const { kernels } = rt.engine;
  const [n, own] = [O / groups, C / groups];
  kernels.fill(O * C, 0, to);
  for (let g = 0; g < groups; g++) {
    const from = matrix(weight + 4 * g * n * own, n, own);
    scaleTo(kernels, 1, from, matrix(to + 4 * (g * n * C + g * own), n, own, C));
  }
}

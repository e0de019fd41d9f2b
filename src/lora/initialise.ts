/** How an adapter's parameters start in a layer: PEFT's initialisations by name. */

import { transposed } from '../formats/scaled.js';
import { RANDOM_STREAM } from '../runtime/engine.js';
import { type Parameter, ParameterBlock } from '../tensor/parameter.js';
import type { Runtime } from '../tensor/runtime.js';
import { AdapterError } from './errors.js';
import type { LoraFactors } from './factors.js';
import {
  fastPissaFactors,
  type InitialFactors,
  oloraFactors,
  orthogonalFactors,
  pissaFactors,
} from './initial-factors.js';
import type { LoraLayer } from './layer.js';

/**
 * Draws an adapter's factors anew. PiSSA and OLoRA take them out of `weight` and leave the rest as the adapter's own base.
 * @param weight - the base weight as it is without any adapter
 * @param init - what to run; by default what the adapter's options say
 * @throws AdapterError where a kind of layer has no such initialisation
 */
export function initialise(
  where: string,
  layer: LoraLayer,
  name: string,
  weight: Parameter,
  init: boolean | string = layer.factors(name).options.initLoraWeights,
): void {
  const factors = layer.factors(name);
  const rt = layer.runtime;
  if (layer.kind === 'embedding') lookupFactors(rt, factors, init);
  else if (init === true || init === false || init === 'gaussian') plainFactors(rt, factors, init);
  else fromBase(where, layer, factors, weight, String(init));
  const { magnitude, bias } = factors;
  if (bias !== null && init !== false) rt.engine.kernels.fill(bias.size, 0, bias.pointer);
  if (magnitude !== null) layer.norms(factors, weight.pointer, magnitude.pointer);
}

/** A from U(±1/√in) or N(0, 1/r²) and B zero; both from U(±1/√width) for `false`. */
function plainFactors(
  rt: Runtime,
  { A, B, bias, options }: LoraFactors,
  init: true | false | 'gaussian',
): void {
  const uniform = (parameter: Parameter, fanIn: number): void => {
    const bound = 1 / Math.sqrt(fanIn);
    rt.fillUniform(parameter, RANDOM_STREAM.init, rt.engine.layers++, -bound, bound);
  };
  const fanIn = A.size / A.shape[0]!;
  if (init === 'gaussian') rt.fillNormal(A, RANDOM_STREAM.init, rt.engine.layers++, 1 / options.r);
  else uniform(A, fanIn);
  const fanInB = B.size / B.shape[0]!;
  if (init !== false) zero(rt, B);
  else {
    uniform(B, fanInB);
    if (bias !== null) uniform(bias, fanInB);
  }
}

/** An embedding's: A zero and B from N(0, 1), both from N(0, 1) for `false`; the names of other initialisations mean the first. */
function lookupFactors(rt: Runtime, { A, B }: LoraFactors, init: boolean | string): void {
  if (init === false) rt.fillNormal(A, RANDOM_STREAM.init, rt.engine.layers++, 1);
  else zero(rt, A);
  rt.fillNormal(B, RANDOM_STREAM.init, rt.engine.layers++, 1);
}

function zero(rt: Runtime, parameter: Parameter): void {
  rt.engine.kernels.fill(parameter.size, 0, parameter.pointer);
  parameter.storage.version++;
}

function fromBase(
  where: string,
  layer: LoraLayer,
  factors: LoraFactors,
  weight: Parameter,
  init: string,
): void {
  if (layer.kind !== 'linear' || factors.ranges !== null) {
    const what = factors.ranges === null ? layer.base.constructor.name : 'fused projections';
    throw new AdapterError(
      `${where}: initLoraWeights '${init}' on ${what}, expected true, false or 'gaussian' there`,
    );
  }
  const rt = layer.runtime;
  const { A, B, scaling, options } = factors;
  const { r } = options;
  const [out, width] = [B.shape[0]!, A.shape[1]!];
  const turned = weight.shape[0] !== out || (layer as { fanInFanOut?: boolean }).fanInFanOut === true;
  if (init === 'orthogonal') {
    const { A: a, B: b } = orthogonalFactors(out, width, r, randomOf(rt));
    A.set(a);
    B.set(b);
    return;
  }
  const W = turned
    ? transposed({ shape: [width, out], data: weight.toArray() as Float32Array }).data
    : (weight.toArray() as Float32Array);
  const found = factorise(init, W, out, width, r, scaling, randomOf(rt));
  A.set(found.A);
  B.set(found.B);
  const left = new ParameterBlock(rt, [weight.shape]).parameters[0]!;
  left.requiresGrad = false;
  left.set(turned ? transposed({ shape: [out, width], data: found.residual }).data : found.residual);
  factors.changed?.weight.block.dispose();
  factors.changed = { weight: left, A0: found.A, B0: found.B };
}

function factorise(
  init: string,
  W: Float32Array,
  out: number,
  width: number,
  r: number,
  scaling: number,
  random: (count: number) => Float64Array,
): InitialFactors {
  if (init === 'olora') return oloraFactors(W, out, width, r, scaling);
  if (init === 'pissa') return pissaFactors(W, out, width, r, scaling);
  const iterations = Number(init.slice('pissa_niter_'.length));
  return fastPissaFactors(W, out, width, r, scaling, iterations, random);
}

/** Normal numbers of the runtime's generator. */
function randomOf(rt: Runtime): (count: number) => Float64Array {
  return (count) => {
    const drawn = rt.empty([count], 'f32');
    rt.fillNormal(drawn, RANDOM_STREAM.init, rt.engine.layers++, 1);
    const values = Float64Array.from(drawn.toArray());
    drawn.dispose();
    return values;
  };
}

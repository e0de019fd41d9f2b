/** How an adapter's parameters start in a layer: PEFT's initialisations by name. */

import { changesBase } from '../../formats/peft-words.js';
import { type Parameter, ParameterBlock } from '../../tensor/parameter.js';
import { fillNormal, fillUniform, nextInit } from '../../tensor/random.js';
import type { Runtime } from '../../tensor/runtime.js';
import { type ShapedArray, transposed } from '../../values/arrays.js';
import { isQuantised } from '../../values/dtypes.js';
import { type ResolvedLayerOptions, scalingOf } from '../config/layer-options.js';
import { AdapterError } from '../errors.js';
import type { LoraFactors } from '../maths/factors.js';
import {
  checkEvenRank,
  checkPissaScaling,
  checkTaken,
  fastPissaFactors,
  type InitialFactors,
  oloraFactors,
  orthogonalFactors,
  pissaFactors,
  type Taken,
} from '../maths/initial-factors.js';
import type { LayerState } from './layer-state.js';

/**
 * Draws an adapter's factors anew. PiSSA and OLoRA take them out of `weight` and leave the rest as the adapter's own base,
 * in float32 whatever the weight's type: rounded, it would not make the base again with the factors.
 * @param weight - the base weight as it is without any adapter
 * @param init - what to run; by default what the adapter's options say
 * @throws AdapterError where a kind of layer has no such initialisation
 */
export function initialise(
  where: string,
  state: LayerState,
  name: string,
  weight: Parameter,
  init: boolean | string = state.get(name, 'factors').options.initLoraWeights,
): void {
  const factors = state.get(name, 'factors');
  const { base, adaptation, runtime: rt } = state;
  checkInitial(where, state, factors.options, init);
  if (adaptation.kind === 'embedding') lookupFactors(rt, factors, init);
  else if (init === true || init === false || init === 'gaussian') plainFactors(rt, factors, init);
  else if (init === 'orthogonal') orthogonal(rt, factors);
  else fromBase(state, factors, weight, String(init));
  const { magnitude, bias, changed } = factors;
  if (bias !== null && init !== false) rt.engine.kernels.fill(bias.size, 0, bias.pointer);
  if (magnitude !== null) adaptation.norms(base, factors, changed?.weight ?? weight, magnitude.pointer);
}

/** Whether an initialisation takes its factors out of this layer's weight. An embedding's never do, as in PEFT. */
export function takesFromBase({ adaptation }: LayerState, init: boolean | string): boolean {
  return adaptation.kind === 'linear' && changesBase(init);
}

/**
 * Whether an initialisation can be run on a layer, before anything is computed.
 * @throws AdapterError where a kind of layer has no such initialisation, or a quantised weight nothing to take out; RangeError for a rank or scaling that it cannot have
 */
export function checkInitial(
  where: string,
  { base, adaptation: { kind } }: LayerState,
  options: ResolvedLayerOptions,
  init: boolean | string,
): void {
  if (kind === 'embedding' || init === true || init === false || init === 'gaussian') return;
  if (kind !== 'linear' || options.slices !== null) {
    const what = options.slices === null ? base.constructor.name : 'fused projections';
    throw new AdapterError(
      `${where}: initLoraWeights '${init}' on ${what}, expected true, false or 'gaussian' there`,
    );
  }
  const within = `${where}: initLoraWeights '${init}'`;
  const { dtype } = base.weight;
  if (init !== 'orthogonal' && isQuantised(dtype))
    throw new AdapterError(
      `${within} on a weight of ${dtype}, of which it would leave a whole one in float32, expected f32, f16 or bf16 there`,
    );
  const [rows = 0, columns = 0] = base.weight.shape;
  if (init === 'orthogonal') checkEvenRank(within, options.r);
  else checkTaken(within, rows, columns, options.r);
  if (String(init).startsWith('pissa')) checkPissaScaling(within, scalingOf(options));
}

/** A from U(±1/√in) or N(0, 1/r²) and B zero; both from U(±1/√width) for `false`. */
function plainFactors(
  rt: Runtime,
  { A, B, bias, options }: LoraFactors,
  init: true | false | 'gaussian',
): void {
  const uniform = (parameter: Parameter, fanIn: number): void => {
    const bound = 1 / Math.sqrt(fanIn);
    fillUniform(parameter, nextInit(rt), -bound, bound);
  };
  const fanIn = A.size / A.shape[0]!;
  if (init === 'gaussian') fillNormal(A, nextInit(rt), 1 / options.r);
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
  if (init === false) fillNormal(A, nextInit(rt), 1);
  else zero(rt, A);
  fillNormal(B, nextInit(rt), 1);
}

function zero(rt: Runtime, parameter: Parameter): void {
  rt.engine.kernels.fill(parameter.size, 0, parameter.pointer);
  parameter.storage.version++;
}

function orthogonal(rt: Runtime, { A, B, options }: LoraFactors): void {
  const found = orthogonalFactors(B.shape[0]!, A.shape[1]!, options.r, randomOf(rt));
  A.set(found.A);
  B.set(found.B);
}

function fromBase(
  { base, adaptation, runtime: rt }: LayerState,
  factors: LoraFactors,
  weight: Parameter,
  init: string,
): void {
  const turned = adaptation.fanInFanOut(base);
  const stored = { shape: weight.shape, data: weight.toArray() as Float32Array };
  const { scaling } = factors;
  const taken = { r: factors.options.r, scaling };
  const found =
    turned && init === 'olora'
      ? turnedOlora(stored, taken)
      : factorise(init, turned ? transposed(stored) : stored, taken, randomOf(rt));
  factors.A.set(found.A);
  factors.B.set(found.B);
  const left = new ParameterBlock(rt, [weight.shape]).parameters[0]!;
  left.requiresGrad = false;
  const [inputs = 0, outputs = 0] = weight.shape;
  left.set(turned ? transposed({ shape: [outputs, inputs], data: found.residual }).data : found.residual);
  factors.changed?.weight.block.dispose();
  factors.changed = { weight: left, A0: found.A, B0: found.B };
}

/**
 * OLoRA of a weight stored [in, out]: PEFT decomposes it as it is stored, W = Q·R, and what is left is W - s·Q·R of the first
 * r. So Qᵀ is A and Rᵀ is B, which makes the start the base's.
 */
function turnedOlora(W: ShapedArray, taken: Taken): InitialFactors {
  const [width = 0, out = 0] = W.shape;
  const { r } = taken;
  const { A: R, B: Q, residual } = oloraFactors(W, taken);
  return {
    A: transposed({ shape: [width, r], data: Q }).data,
    B: transposed({ shape: [r, out], data: R }).data,
    residual: transposed({ shape: [width, out], data: residual }).data,
  };
}

function factorise(
  init: string,
  W: ShapedArray,
  taken: Taken,
  random: (count: number) => Float64Array,
): InitialFactors {
  if (init === 'olora') return oloraFactors(W, taken);
  if (init === 'pissa') return pissaFactors(W, taken);
  return fastPissaFactors(W, taken, Number(init.slice('pissa_niter_'.length)), random);
}

/** Normal numbers of the runtime's generator. */
function randomOf(rt: Runtime): (count: number) => Float64Array {
  return (count) => {
    const drawn = rt.empty([count], 'f32');
    fillNormal(drawn, nextInit(rt), 1);
    const values = Float64Array.from(drawn.toArray());
    drawn.dispose();
    return values;
  };
}

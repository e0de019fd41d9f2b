/** What merging adapters into a layer comes to: whether they may be, and the weight with their deltas in it, made apart. */
import { elementsOf, expandElements, withExpanded } from '../../ops/expanded.js';
import { wordsOf } from '../../tensor/content.js';
import { allFinite } from '../../tensor/finite.js';
import { type Parameter, ParameterBlock } from '../../tensor/parameter.js';
import type { Tensor } from '../../tensor/tensor.js';
import { isQuantised } from '../../values/dtypes.js';
import { AdapterError } from '../errors.js';
import { type LoraFactors, strengthOf } from '../maths/factors.js';
import type { LayerState } from './layer-state.js';
import type { QuantisedMerge } from './merge-options.js';
import { mergedType, requantise } from './quantised-merge.js';

/** Values of a parameter outside of linear memory. */
export type Values = Float32Array<ArrayBuffer>;

/** A weight outside of linear memory, as it lies there. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** A weight with deltas in it, and the bias that goes with it. */
export interface Sum {
  /** In the type of the one that they were added to, but for a quantised one that was to be dequantised. */
  readonly weight: Parameter;
  readonly bias: Values | null;
  /** Of a quantised weight, the share of the deltas that is kept; null for others. */
  readonly survived: number | null;
}

/** How a sum is made. */
export interface SumOptions {
  /** Whether NaN and infinity are refused. */
  readonly safe: boolean;
  /** What becomes of a quantised weight; null to refuse it. */
  readonly quantised: QuantisedMerge | null;
}

/** What deltas are added to. */
export interface Addend {
  /** The parameter whose type and shape the weight has. */
  readonly like: Parameter;
  /** What it holds, where that is not what the parameter holds now. */
  readonly weight: Bytes | null;
  readonly bias: Parameter | Values | null;
}

/** @param merged - what is merged already @throws AdapterError */
export function checkMerge(
  where: string,
  layer: LayerState,
  merged: readonly string[],
  names: readonly string[],
): void {
  const again = names.find((name, i) => merged.includes(name) || names.indexOf(name) !== i);
  if (again !== undefined)
    throw new AdapterError(`${where}: adapter '${again}' is merged already, expected each once`);
  const { active } = layer;
  const beside = [...new Set([...merged, ...names, ...active])];
  const dora = beside.find((name) => layer.get(name, 'merge').magnitude !== null);
  const other = beside.find((name) => name !== dora);
  if (names.length > 0 && dora !== undefined && other !== undefined)
    throw new AdapterError(
      `${where}: adapter '${other}' beside '${dora}', which is DoRA, expected DoRA merged alone`,
    );
  for (const name of names) {
    const factors = layer.get(name, 'merge');
    if (factors.changed !== null && !active.includes(name))
      throw new AdapterError(
        `${where}: adapter '${name}' has a base of its own and is not active, expected setAdapter() first`,
      );
    if (factors.bias !== null && strengthOf(factors) !== 0 && layer.bias === null)
      throw new AdapterError(
        `${where}: the adapter has a LoRA bias and the base has none to merge it into, expected a base with a bias`,
      );
  }
}

/**
 * The weight and bias with the deltas of `names` in them: added in float32, and rounded once where the weight has 16 bits or
 * is quantised again.
 * @throws AdapterError, OutOfMemoryError; nothing is left behind then
 */
export function sumOf(
  where: string,
  layer: LayerState,
  names: readonly string[],
  to: Addend,
  options: SumOptions,
): Sum {
  const rt = layer.runtime;
  const shape = layer.adaptation.deltaShape(layer.base);
  const bias = to.bias === null ? null : valuesOf(to.bias);
  const { dtype: stored } = elementsOf(to.like);
  const { dtype, blocks } = mergedType(where, stored, options.quantised);
  const weight = new ParameterBlock(rt, [shape], dtype).parameters[0]!;
  weight.requiresGrad = false;
  let survived = isQuantised(stored) ? 1 : null;
  try {
    // What a failed allocation leaves behind half-way goes with the scope.
    rt.scope(() => {
      const sum = dtype === 'f32' ? weight : rt.empty(shape, 'f32');
      begin(layer, to, sum);
      const before = blocks === null ? null : floats(sum);
      for (const name of names) apply(layer, layer.get(name, 'merge'), sum, bias);
      if (blocks !== null && before !== null) {
        const rounded = requantise(where, blocks, floats(sum), before);
        weight.writeBytes(rounded.bytes);
        survived = rounded.survived;
      } else if (sum !== weight) weight.write(wordsOf(sum));
    });
    if (options.safe && !(allFinite(weight) && (bias?.every(Number.isFinite) ?? true)))
      throw new AdapterError(
        `${where}: the merged weight has NaN or infinity from ${names.join(', ')}, expected finite adapters`,
      );
  } catch (error) {
    weight.block.dispose();
    throw error;
  }
  return { weight, bias, survived };
}

function floats(tensor: Tensor): Values {
  return tensor.copyTo(new Float32Array(tensor.size));
}

/** A copy. */
export function valuesOf(from: Parameter | Values): Values {
  return from instanceof Float32Array ? from.slice() : floats(from);
}

/** The weight that deltas are added to, as float32 in the shape of a delta. */
function begin(
  { base, adaptation, runtime: rt }: LayerState,
  { like, weight: bytes }: Addend,
  sum: Tensor,
): void {
  if (bytes !== null && like.dtype === 'f32' && like.size === sum.size) {
    sum.writeBytes(bytes);
    return;
  }
  const weight = bytes === null ? like : rt.empty(like.shape, like.dtype).writeBytes(bytes);
  if (like.size === sum.size) expandElements(rt, elementsOf(weight), sum.pointer);
  else withExpanded(rt, elementsOf(weight), (pointer) => adaptation.expandWeight(base, pointer, sum.pointer));
}

/** sum += strength·delta, and DoRA's magnitude over it; bias += strength·lora_B.bias. */
function apply(
  { base, adaptation, runtime: rt }: LayerState,
  factors: LoraFactors,
  sum: Tensor,
  bias: Values | null,
): void {
  const { kernels } = rt.engine;
  const outputs = adaptation.outputs(base);
  const { magnitude } = factors;
  if (magnitude !== null) {
    const g = rt.empty([outputs], 'f32');
    adaptation.norms(base, factors, sum, g.pointer);
    kernels.quotient(outputs, magnitude.pointer, g.pointer, g.pointer);
    adaptation.addDelta(base, factors, sum.pointer, sum.pointer);
    adaptation.scaleOutputs(base, g.pointer, sum.pointer);
    g.dispose();
  } else if (strengthOf(factors) !== 0) adaptation.addDelta(base, factors, sum.pointer, sum.pointer);
  if (bias === null || factors.bias === null) return;
  const [own, s] = [factors.bias.toArray(), strengthOf(factors)];
  for (const [i, value] of own.entries()) bias[i]! += s * value;
}

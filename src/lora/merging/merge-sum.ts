/** What merging adapters into a layer comes to: whether they may be, and the weight with their deltas in it, made apart. */
import { type Parameter, ParameterBlock } from '../../tensor/parameter.js';
import { AdapterError } from '../errors.js';
import type { LoraLayer } from '../layer/lora-layer.js';
import { type LoraFactors, type MergeOptions, strengthOf } from '../maths/factors.js';

/** Values outside of linear memory. */
export type Bytes = Float32Array<ArrayBuffer>;

/** A weight with deltas in it, and the bias that goes with it. */
export interface Sum {
  readonly weight: Parameter;
  readonly bias: Bytes | null;
}

/** What deltas are added to. */
export interface Addend {
  readonly weight: Parameter | Bytes;
  readonly bias: Parameter | Bytes | null;
}

/** @param merged - what is merged already @throws AdapterError */
export function checkMerge(
  where: string,
  layer: LoraLayer,
  merged: readonly string[],
  names: readonly string[],
): void {
  const again = names.find((name, i) => merged.includes(name) || names.indexOf(name) !== i);
  if (again !== undefined)
    throw new AdapterError(`${where}: adapter '${again}' is merged already, expected each once`);
  const active = layer.activeAdapters;
  const beside = [...new Set([...merged, ...names, ...active])];
  const dora = beside.find((name) => layer.factors(name).magnitude !== null);
  const other = beside.find((name) => name !== dora);
  if (names.length > 0 && dora !== undefined && other !== undefined)
    throw new AdapterError(
      `${where}: adapter '${other}' beside '${dora}', which is DoRA, expected DoRA merged alone`,
    );
  for (const name of names) {
    const factors = layer.factors(name);
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

/** The weight and bias with the deltas of `names` in them. @throws AdapterError, OutOfMemoryError; nothing is left behind then */
export function sumOf(
  where: string,
  layer: LoraLayer,
  names: readonly string[],
  to: Addend,
  options: MergeOptions,
): Sum {
  const rt = layer.runtime;
  const bias = to.bias === null ? null : bytesOf(to.bias);
  const weight = new ParameterBlock(rt, [layer.deltaShape]).parameters[0]!;
  weight.requiresGrad = false;
  try {
    // What a failed allocation leaves behind half-way goes with the scope.
    rt.scope(() => {
      if (to.weight instanceof Float32Array) weight.set(to.weight);
      else expand(layer, to.weight, weight);
      for (const name of names) apply(layer, layer.factors(name), weight, bias);
    });
    const finite =
      rt.engine.kernels.allFinite(weight.size, weight.pointer) === 1 &&
      (bias?.every(Number.isFinite) ?? true);
    if (options.safe === true && !finite)
      throw new AdapterError(
        `${where}: the merged weight has NaN or infinity from ${names.join(', ')}, expected finite adapters`,
      );
  } catch (error) {
    weight.block.dispose();
    throw error;
  }
  return { weight, bias };
}

/** A copy. */
export function bytesOf(values: Parameter | Bytes): Bytes {
  return values instanceof Float32Array ? values.slice() : values.copyTo(new Float32Array(values.size));
}

/** The weight in the shape of a delta. */
function expand(layer: LoraLayer, weight: Parameter, to: Parameter): void {
  const { kernels } = layer.runtime.engine;
  if (weight.size === to.size) kernels.scale(to.size, 1, weight.pointer, to.pointer);
  else layer.expandWeight(weight, to);
}

/** sum += strength·delta, and DoRA's magnitude over it; bias += strength·lora_B.bias. */
function apply(layer: LoraLayer, factors: LoraFactors, sum: Parameter, bias: Bytes | null): void {
  const rt = layer.runtime;
  const { kernels } = rt.engine;
  const { magnitude } = factors;
  if (magnitude !== null) {
    const g = rt.empty([layer.outputs], 'f32');
    layer.norms(factors, sum.pointer, g.pointer);
    kernels.quotient(layer.outputs, magnitude.pointer, g.pointer, g.pointer);
    layer.addDelta(factors, sum.pointer, sum.pointer);
    layer.scaleOutputs(g.pointer, sum.pointer);
    g.dispose();
  } else if (strengthOf(factors) !== 0) layer.addDelta(factors, sum.pointer, sum.pointer);
  if (bias === null || factors.bias === null) return;
  const [own, s] = [factors.bias.toArray(), strengthOf(factors)];
  for (const [i, value] of own.entries()) bias[i]! += s * value;
}

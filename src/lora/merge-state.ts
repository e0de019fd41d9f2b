/**
 * What is merged into one layer, and the way back: the weight's bytes (and the bias's) as they were before the first merge.
 * Nothing is ever subtracted. A tied weight is not touched: the layer computes with a copy of its own while merged; so
 * does a grouped convolution, whose merged weight sees every channel.
 */
import { type Parameter, ParameterBlock } from '../tensor/parameter.js';
import type { BaseLayer } from './base-layer.js';
import { AdapterError } from './errors.js';
import { type LoraFactors, type MergeOptions, strengthOf } from './factors.js';
import type { LoraLayer } from './layer.js';

interface Kept {
  readonly weight: Float32Array<ArrayBuffer>;
  readonly bias: Float32Array<ArrayBuffer> | null;
}

export class MergeState {
  readonly #layer: LoraLayer;
  #names: readonly string[] = [];
  #kept: Kept | null = null;
  #standIn: Parameter | null = null;
  /** Whether another layer holds the same weight. */
  tied = false;

  constructor(layer: LoraLayer) {
    this.#layer = layer;
  }

  get names(): readonly string[] {
    return this.#names;
  }

  /** The weight in the base's place while merged, where the base's own may not change. */
  get standIn(): Parameter | null {
    return this.#standIn;
  }

  merge(where: string, names: readonly string[], options: MergeOptions): void {
    const again = names.find((name, i) => this.#names.includes(name) || names.indexOf(name) !== i);
    if (again !== undefined)
      throw new AdapterError(`${where}: adapter '${again}' is merged already, expected each once`);
    if (names.length === 0) return;
    const layer = this.#layer;
    const factors = names.map((name) => layer.factors(name));
    const biased = factors.find(({ bias }) => bias !== null);
    if (biased !== undefined && layer.bias === null)
      throw new AdapterError(
        `${where}: the adapter has a LoRA bias and the base has none to merge it into, expected a base with a bias`,
      );
    const rt = layer.runtime;
    const { kernels } = rt.engine;
    const weight = layer.weight;
    // Tried on a copy: a refused merge has touched nothing.
    const shape = layer.deltaShape;
    const sum = new ParameterBlock(rt, [shape]).parameters[0]!;
    sum.requiresGrad = false;
    const bias = biased === undefined ? null : layer.bias!.toArray();
    try {
      expand(layer, weight, sum);
      for (const one of factors) apply(layer, one, sum, bias);
      const finite = kernels.allFinite(sum.size, sum.pointer) === 1 && (bias?.every(Number.isFinite) ?? true);
      if (options.safe === true && !finite) {
        throw new AdapterError(
          `${where}: the merged weight has NaN or infinity from ${names.join(', ')}, expected finite adapters`,
        );
      }
    } catch (error) {
      sum.block.dispose();
      throw error;
    }
    const own =
      this.#standIn !== null || (this.tied && weight === layer.base.weight) || sum.size !== weight.size;
    this.#kept ??= {
      weight: own ? new Float32Array(0) : weight.copyTo(new Float32Array(weight.size)),
      bias: layer.bias === null ? null : layer.bias.copyTo(new Float32Array(layer.bias.size)),
    };
    if (own) {
      this.#standIn?.block.dispose();
      this.#standIn = sum;
    } else {
      kernels.scale(sum.size, 1, sum.pointer, weight.pointer);
      weight.storage.version++;
      sum.block.dispose();
    }
    if (bias !== null) layer.bias!.set(bias);
    this.#names = [...this.#names, ...names];
  }

  unmerge(where: string, names: readonly string[] = this.#names): void {
    if (this.#kept === null) throw new AdapterError(`${where}: nothing is merged, expected merge() before`);
    const stranger = names.find((name) => !this.#names.includes(name));
    if (stranger !== undefined)
      throw new AdapterError(
        `${where}: adapter '${stranger}' is not merged, expected some of ${this.#names.join(', ')}`,
      );
    const rest = this.#names.filter((name) => !names.includes(name));
    this.#restore();
    this.#names = [];
    this.merge(where, rest, {});
  }

  /** Runs `fn` with the kept bytes in place, and puts the merged ones back whatever happens. */
  withoutMerged<T>(fn: () => T): T {
    const [kept, names, standIn] = [this.#kept, this.#names, this.#standIn];
    if (kept === null) return fn();
    const layer = this.#layer;
    const weight = layer.weight;
    const merged = standIn === null ? weight.toArray() : null;
    const bias = layer.bias?.toArray() ?? null;
    this.#standIn = null;
    if (merged !== null) weight.set(kept.weight);
    if (kept.bias !== null) layer.bias!.set(kept.bias);
    this.#names = [];
    this.#kept = null;
    try {
      return fn();
    } finally {
      if (merged !== null) weight.set(merged);
      if (bias !== null) layer.bias!.set(bias);
      [this.#kept, this.#names, this.#standIn] = [kept, names, standIn];
    }
  }

  /** The base layer for good: a merged weight that lies elsewhere moves into it. */
  finish(): BaseLayer {
    const layer = this.#layer;
    const merged = layer.weight;
    const { base } = layer;
    const standIn = this.#standIn;
    this.#names = [];
    this.#kept = null;
    this.#standIn = null;
    if (standIn !== null) return layer.rebuilt(standIn);
    if (merged === base.weight) return base;
    if (this.tied) {
      // The adapter's own base goes with the adapter, and the other holders keep the weight they share.
      const own = new ParameterBlock(layer.runtime, [merged.shape]).parameters[0]!;
      own.set(merged.toArray());
      return layer.rebuilt(own);
    }
    base.weight.set(merged.toArray());
    return base;
  }

  dispose(): void {
    this.#standIn?.block.dispose();
    this.#standIn = null;
  }

  #restore(): void {
    const kept = this.#kept!;
    const layer = this.#layer;
    if (this.#standIn === null) layer.weight.set(kept.weight);
    this.#standIn?.block.dispose();
    this.#standIn = null;
    if (kept.bias !== null) layer.bias!.set(kept.bias);
    this.#kept = null;
  }
}

/** The weight in the shape of a delta. */
function expand(layer: LoraLayer, weight: Parameter, to: Parameter): void {
  const { kernels } = layer.runtime.engine;
  if (weight.size === to.size) kernels.scale(to.size, 1, weight.pointer, to.pointer);
  else layer.expandWeight(weight, to);
}

/** sum += strength·delta, and DoRA's magnitude over it; bias += strength·lora_B.bias. */
function apply(layer: LoraLayer, factors: LoraFactors, sum: Parameter, bias: ArrayLike<number> | null): void {
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
  for (const [i, value] of own.entries()) (bias as Float32Array)[i]! += s * value;
}

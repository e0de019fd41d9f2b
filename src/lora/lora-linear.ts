/**
 * LoraLinear: a Linear with any number of low-rank adapters beside it. It has Linear's public face and its names, so it
 * can stand in its place; adapters are made by `LoraLinear.from` (one, 'default') or by LoraModel.
 */

import { Linear } from '../nn/linear.js';
import { type Child, Module } from '../nn/module.js';
import { linear } from '../ops/linear.js';
import { loraLinear } from '../ops/lora-linear.js';
import { RANDOM_STREAM } from '../runtime/engine.js';
import { describe } from '../runtime/errors.js';
import { type Parameter, ParameterBlock } from '../tensor/parameter.js';
import type { Runtime } from '../tensor/runtime.js';
import type { Tensor } from '../tensor/tensor.js';
import {
  type LoraLayerOptions,
  type ResolvedLayerOptions,
  resolveLayerOptions,
  scalingOf,
} from './config.js';
import { AdapterError } from './errors.js';

/** One adapter's factors in one layer. */
export interface LoraFactors {
  /** [r, in] */
  readonly A: Parameter;
  /** [out, r] */
  readonly B: Parameter;
  readonly options: ResolvedLayerOptions;
  /** alpha/r, or alpha/√r. */
  readonly scaling: number;
}

/** Options of `merge`. */
export interface MergeOptions {
  /** Refuse a merged weight with NaN or infinity, leaving the layer as it was. Default false. */
  readonly safe?: boolean;
}

interface Kept {
  readonly names: readonly string[];
  /** The base weight as it was before the merge. */
  readonly base: Float32Array<ArrayBuffer>;
}

export class LoraLinear extends Module {
  /** The wrapped layer. */
  readonly base: Linear;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** Whether the adapters take part in `forward`. Merged ones do as long as they are merged. */
  enabled = true;
  /** @internal */ readonly runtime: Runtime;
  readonly #adapters = new Map<string, LoraFactors>();
  readonly #maskLayer: number;
  #maskStep = 0;
  #active: readonly string[] = [];
  #kept: Kept | null = null;

  /** @internal Use `LoraLinear.from` or `LoraModel.attach`. */
  constructor(base: Linear) {
    super();
    this.base = base;
    this.inFeatures = base.inFeatures;
    this.outFeatures = base.outFeatures;
    this.runtime = base.runtime;
    this.#maskLayer = base.runtime.engine.nextLayer();
  }

  /**
   * Wraps a Linear with one adapter named 'default' and freezes the base.
   * @throws TypeError, RangeError
   * @example
   * const layer = LoraLinear.from(new Linear(rt, 784, 1000), { r: 4, loraAlpha: 8 });
   */
  static from(base: Linear, options: LoraLayerOptions = {}): LoraLinear {
    if (!(base instanceof Linear))
      throw new TypeError(`LoraLinear.from: base is ${describe(base)}, expected a Linear`);
    const resolved = resolveLayerOptions('LoraLinear.from', options);
    const block = new ParameterBlock(base.runtime, LoraLinear.factorShapes(base, resolved.r));
    const layer = new LoraLinear(base);
    layer.addFactors('default', block.parameters[0]!, block.parameters[1]!, resolved);
    layer.resetFactors('default');
    layer.setActive(['default']);
    for (const parameter of base.parameters()) parameter.requiresGrad = false;
    return layer;
  }

  /** @internal Shapes of A and B for a rank. */
  static factorShapes(base: Linear, r: number): [readonly number[], readonly number[]] {
    return [
      [r, base.inFeatures],
      [base.outFeatures, r],
    ];
  }

  get weight(): Parameter {
    return this.base.weight;
  }

  get bias(): Parameter | null {
    return this.base.bias;
  }

  /** Names of the adapters on this layer. */
  get adapters(): string[] {
    return [...this.#adapters.keys()];
  }

  /** Names of the adapters that take part, in their order. */
  get activeAdapters(): string[] {
    return [...this.#active];
  }

  /** Whether adapters are added into the base weight now. */
  get merged(): boolean {
    return this.#kept !== null;
  }

  /** Names of the merged adapters. */
  get mergedAdapters(): string[] {
    return [...(this.#kept?.names ?? [])];
  }

  /** Scaling of the first active adapter. @throws AdapterError */
  get scaling(): number {
    return this.factors(this.#firstActive('LoraLinear.scaling')).scaling;
  }

  /** A [r, in] and B [out, r] of an adapter. @throws AdapterError */
  factors(name: string): LoraFactors {
    const factors = this.#adapters.get(name);
    if (factors === undefined) {
      throw new AdapterError(
        `LoraLinear: there is no adapter '${name}', expected one of ${this.adapters.join(', ') || 'none'}`,
      );
    }
    return factors;
  }

  override children(): Iterable<Child> {
    return [];
  }

  override *ownParameters(): Iterable<[string, Parameter]> {
    yield* this.base.ownParameters();
    for (const [name, { A, B }] of this.#adapters) {
      yield [`lora_A.${name}.weight`, A];
      yield [`lora_B.${name}.weight`, B];
    }
  }

  /**
   * y = x·Wᵀ + b + Σ scaling·(dropout(x)·Aᵀ)·Bᵀ over the active adapters that are not merged.
   * @param x - [..., in] float32
   * @returns [..., out]
   * @throws TypeError, RangeError; AdapterError when it would record gradients through a merged adapter
   */
  override forward(x: Tensor): Tensor {
    const merged = this.#kept?.names ?? [];
    if (merged.length > 0 && this.runtime.gradEnabled) {
      const trainable = merged.find(
        (name) => this.factors(name).A.requiresGrad || this.factors(name).B.requiresGrad,
      );
      if (trainable !== undefined) {
        throw new AdapterError(
          `LoraLinear.forward: adapter '${trainable}' is merged and requires gradients, expected unmerge() first or rt.noGrad`,
        );
      }
    }
    const active = this.enabled
      ? this.#active.filter((name) => !merged.includes(name) && this.#adapters.has(name))
      : [];
    if (active.length === 0) return linear(x, this.weight, this.bias, 'LoraLinear.forward');
    const step = this.training ? this.#maskStep++ : 0;
    const terms = active.map((name, i) => {
      const { A, B, scaling, options } = this.factors(name);
      const dropout = this.training ? options.loraDropout : 0;
      return { A, B, scaling, dropout, maskLayer: this.#maskLayer, maskStep: step * 256 + i };
    });
    return loraLinear('LoraLinear.forward', x, this.weight, this.bias, terms);
  }

  /** scaling·B·A of an adapter, [out, in]; what merge adds to the weight. @throws AdapterError */
  deltaWeight(name?: string): Tensor {
    const { A, B, scaling, options } = this.factors(name ?? this.#firstActive('LoraLinear.deltaWeight'));
    const delta = this.runtime.empty(this.weight.shape, 'f32');
    const { r } = options;
    const [N, K] = [this.outFeatures, this.inFeatures];
    this.runtime.engine.kernels.loraMerge(
      N,
      K,
      r,
      scaling,
      B.pointer,
      r,
      A.pointer,
      K,
      0,
      0,
      delta.pointer,
      K,
    );
    return delta;
  }

  /**
   * Adds the deltas of `names` (the active adapters by default) into the base weight and keeps the old bytes.
   * @throws AdapterError when something is merged already, when there is no such adapter, or when `safe` finds NaN or infinity
   */
  merge(names: readonly string[] = this.#active, options: MergeOptions = {}): void {
    if (this.#kept !== null) {
      throw new AdapterError(
        `LoraLinear.merge: adapters ${this.#kept.names.join(', ')} are merged already, expected unmerge() first`,
      );
    }
    const present = names.map((name) => ({ name, ...this.factors(name) }));
    const base = this.weight.copyTo(new Float32Array(this.weight.size));
    const { kernels } = this.runtime.engine;
    const [N, K] = [this.outFeatures, this.inFeatures];
    const w = this.weight.pointer;
    for (const {
      A,
      B,
      scaling,
      options: { r },
    } of present) {
      kernels.loraMerge(N, K, r, scaling, B.pointer, r, A.pointer, K, w, K, w, K);
    }
    this.weight.storage.version++;
    if (options.safe === true && kernels.allFinite(N * K, w) === 0) {
      this.weight.set(base);
      throw new AdapterError(
        `LoraLinear.merge: the merged weight has NaN or infinity from ${names.join(', ')}, expected finite adapters`,
      );
    }
    if (present.length > 0) this.#kept = { names: present.map(({ name }) => name), base };
  }

  /** Restores the base weight's bytes as they were before the merge. @throws AdapterError when nothing is merged */
  unmerge(): void {
    if (this.#kept === null)
      throw new AdapterError('LoraLinear.unmerge: nothing is merged, expected merge() before');
    this.weight.set(this.#kept.base);
    this.#kept = null;
  }

  /** @internal Runs `fn` with the base alone: adapters off, merged ones taken out of the weight and put back after. */
  withBaseAlone<T>(fn: () => T): T {
    const kept = this.#kept;
    const enabled = this.enabled;
    const mergedBytes = kept === null ? null : this.weight.copyTo(new Float32Array(this.weight.size));
    if (kept !== null) this.weight.set(kept.base);
    this.#kept = null;
    this.enabled = false;
    try {
      return fn();
    } finally {
      if (mergedBytes !== null) this.weight.set(mergedBytes);
      this.#kept = kept;
      this.enabled = enabled;
    }
  }

  /** @internal */
  addFactors(name: string, A: Parameter, B: Parameter, options: ResolvedLayerOptions): void {
    this.#adapters.set(name, { A, B, options, scaling: scalingOf(options) });
  }

  /** @internal Draws A and B anew. */
  resetFactors(name: string): void {
    const { A, B, options } = this.factors(name);
    const rt = this.runtime;
    const layer = rt.engine.nextLayer();
    if (options.initLoraWeights === 'gaussian') rt.fillNormal(A, RANDOM_STREAM.init, layer, 1 / options.r);
    else
      rt.fillUniform(
        A,
        RANDOM_STREAM.init,
        layer,
        -1 / Math.sqrt(this.inFeatures),
        1 / Math.sqrt(this.inFeatures),
      );
    if (options.initLoraWeights === false) {
      rt.fillUniform(
        B,
        RANDOM_STREAM.init,
        rt.engine.nextLayer(),
        -1 / Math.sqrt(options.r),
        1 / Math.sqrt(options.r),
      );
    } else rt.engine.kernels.fill(B.size, 0, B.pointer);
  }

  /** @internal */
  removeFactors(name: string): void {
    this.#adapters.delete(name);
    this.#active = this.#active.filter((active) => active !== name);
  }

  /** @internal */
  setActive(names: readonly string[]): void {
    this.#active = names;
  }

  override dispose(): void {
    this.base.dispose();
    for (const { A, B } of this.#adapters.values()) {
      A.block.dispose();
      B.block.dispose();
    }
  }

  #firstActive(where: string): string {
    const name = this.#active[0];
    if (name === undefined)
      throw new AdapterError(
        `${where}: no adapter is active, expected a name; there are ${this.adapters.join(', ') || 'none'}`,
      );
    return name;
  }
}

/**
 * LoraLayer: what every wrapped layer shares. It stands in the place of its base and has any number of adapters beside it
 * (layer-adapters.ts), some of them merged (merge-state.ts), some at work in forward (layer-forward.ts). How a kind of layer
 * computes, it says itself.
 */
import { Module, type ParameterSlot } from '../../nn/module.js';
import type { Dora, LoraTerm, OutputRange } from '../../ops/lora-terms.js';
import type { Parameter } from '../../tensor/parameter.js';
import type { Runtime } from '../../tensor/runtime.js';
import type { Tensor } from '../../tensor/tensor.js';
import { checkNumber } from '../../values/checks.js';
import type { ResolvedLayerOptions } from '../config/layer-options.js';
import { namesGiven } from '../config/names.js';
import { AdapterError } from '../errors.js';
import {
  checkMergeOptions,
  type FactorShapes,
  type LoraFactors,
  type MergeOptions,
  strengthOf,
} from '../maths/factors.js';
import { type Finish, MergeState, type MergeStep } from '../merging/merge-layer.js';
import type { BaseLayer, LayerKind } from './base-layer.js';
import { LayerAdapters, type NewFactors } from './layer-adapters.js';
import { LayerForward } from './layer-forward.js';
import type { Rows } from './rows.js';

export abstract class LoraLayer<Base extends BaseLayer = BaseLayer> extends Module {
  /** The wrapped layer. */
  readonly base: Base;
  abstract readonly kind: LayerKind;
  /** Whether the adapters take part in `forward`. Merged ones do as long as they are merged. */
  enabled = true;
  /** @internal */ readonly runtime: Runtime;
  readonly #adapters = new LayerAdapters(this.constructor.name);
  readonly #merge = new MergeState(this);
  readonly #forward: LayerForward;

  /** @internal */
  protected constructor(base: Base) {
    super();
    this.base = base;
    this.runtime = base.runtime;
    this.#forward = new LayerForward(this, this.#adapters);
  }

  /** @internal Shapes of an adapter's parameters. @throws AdapterError when the layer cannot hold such an adapter */
  abstract shapesFor(where: string, options: ResolvedLayerOptions): FactorShapes;
  /** @internal The outputs that an adapter of fused projections adapts; null for all. @throws AdapterError */
  rangesFor(_where: string, _options: ResolvedLayerOptions): OutputRange[] | null {
    return null;
  }

  /** @internal The base alone over a weight. */
  abstract computeBase(x: Tensor, weight: Parameter, planRows?: number): Tensor;
  /** @internal The base with adapters; with `dora` there is one term. */
  abstract computeAdapted(
    x: Tensor,
    weight: Parameter,
    terms: readonly LoraTerm[],
    dora: Dora | null,
    planRows?: number,
  ): Tensor;
  /** @internal out = w + strength·delta in the weight's layout; w may be 0 (the delta alone) or out. */
  abstract addDelta(factors: LoraFactors, w: number, out: number): void;
  /** @internal ‖W + strength·delta‖ of every output, to `out` [out]. */
  abstract norms(factors: LoraFactors, w: Tensor, out: number): void;
  /** @internal weight = g ⊙ weight, g [out]. */
  abstract scaleOutputs(g: number, weight: number): void;
  /** @internal Number of outputs: the length of magnitudes and biases. */
  abstract readonly outputs: number;

  /** The weight that the active adapters go with: the base's, or what an initialisation left of it. */
  get weight(): Parameter {
    const { standIn } = this.#merge;
    if (standIn !== null) return standIn;
    return this.enabled || this.merged ? this.unmergedWeight : this.base.weight;
  }

  /** @internal The weight that adapters are merged into: what an active adapter's initialisation left, or the base's. */
  get unmergedWeight(): Parameter {
    return this.#adapters.changed?.weight ?? this.base.weight;
  }

  get bias(): Parameter | null {
    return this.base.bias ?? null;
  }

  /** Names of the adapters on this layer. */
  get adapters(): string[] {
    return this.#adapters.names;
  }

  /** Names of the adapters that take part, in their order. */
  get activeAdapters(): string[] {
    return [...this.#adapters.active];
  }

  /** Whether adapters are added into the base weight now. */
  get merged(): boolean {
    return this.#merge.names.length > 0;
  }

  /** Names of the merged adapters. */
  get mergedAdapters(): string[] {
    return [...this.#merge.names];
  }

  /** Scaling of the first active adapter, its multiplier included. @throws AdapterError */
  get scaling(): number {
    return strengthOf(this.#adapters.get(this.#adapters.firstActive('scaling'), 'scaling'));
  }

  /** The parameters of an adapter. @throws AdapterError */
  factors(name: string): LoraFactors {
    return this.#adapters.get(name, 'factors');
  }

  /**
   * Multiplies an adapter's alpha/r by `multiplier` from now on; 0 gives the base, 1 is the start. DoRA's magnitude is not scaled.
   * @throws TypeError, RangeError; AdapterError when it is merged
   */
  setScale(name: string, multiplier: number): void {
    const where = `${this.constructor.name}.setScale`;
    const factors = this.#adapters.get(name, 'setScale');
    checkNumber(`${where}: multiplier`, multiplier, -Number.MAX_VALUE, Number.MAX_VALUE);
    if (this.mergedAdapters.includes(name))
      throw new AdapterError(`${where}: adapter '${name}' is merged, expected unmerge() first`);
    factors.multiplier = multiplier;
  }

  override children(): Iterable<never> {
    return [];
  }

  override *ownParameters(): Iterable<[string, Parameter]> {
    yield* this.base.ownParameters();
    for (const [name, { A, B, bias, magnitude }] of this.#adapters.all) {
      const [a, b] = this.factorNames(name);
      yield [a, A];
      yield [b, B];
      if (bias !== null) yield [`lora_B.${name}.bias`, bias];
      if (magnitude !== null) yield [`lora_magnitude_vector.${name}.weight`, magnitude];
    }
  }

  override parameterSlots(): Iterable<ParameterSlot> {
    return this.base.parameterSlots();
  }

  /** @internal Names of A and B among the parameters. */
  protected factorNames(name: string): [string, string] {
    return [`lora_A.${name}.weight`, `lora_B.${name}.weight`];
  }

  /**
   * The base's output with the active adapters that are not merged.
   * @throws TypeError, RangeError; AdapterError when it would record gradients through a merged adapter
   */
  override forward(x: Tensor): Tensor {
    return this.#forward.run(x, this.#merge.names);
  }

  /** scaling·B·A of an adapter in the weight's shape: what merging adds (DoRA scales the sum besides). @throws AdapterError */
  deltaWeight(name?: string): Tensor {
    const factors = this.#adapters.get(name ?? this.#adapters.firstActive('deltaWeight'), 'deltaWeight');
    return this.runtime.scope(() => {
      const delta = this.runtime.empty(this.deltaShape, 'f32');
      this.addDelta(factors, 0, delta.pointer);
      return delta;
    });
  }

  /** @internal Shape of a delta; a grouped convolution's sees every channel. */
  get deltaShape(): readonly number[] {
    return this.base.weight.shape;
  }

  /**
   * Adds the deltas of `names` (the active adapters that are not merged yet, by default) into the weight. The old bytes are kept.
   * @throws AdapterError when one is merged already or unknown, or when `safe` finds NaN or infinity; nothing is merged then
   */
  merge(names?: readonly string[], options: MergeOptions = {}): void {
    const where = `${this.constructor.name}.merge`;
    checkMergeOptions(where, options);
    const open = this.#adapters.active.filter((name) => !this.#merge.names.includes(name));
    const wanted = names === undefined ? open : namesGiven(where, names);
    for (const name of wanted) this.#adapters.get(name, 'merge');
    this.mergeStep(where, wanted, options).done();
  }

  /** @internal The same as one step of many: it can be undone. */
  mergeStep(where: string, names: readonly string[], options: MergeOptions): MergeStep {
    return this.#merge.merge(where, names, options);
  }

  /** Takes adapters out of the weight again (all by default): what stays is the kept bytes with the others merged anew. @throws AdapterError */
  unmerge(names?: readonly string[]): void {
    const where = `${this.constructor.name}.unmerge`;
    const rest = this.#merge.without(
      where,
      names === undefined ? this.#merge.names : namesGiven(where, names),
    );
    if (rest.length === 0) this.#merge.restore();
    else this.#merge.keepOnly(where, rest).done();
  }

  /** @internal Takes all but `names` of the merged adapters out, as one step of many. @throws OutOfMemoryError */
  keepMerged(where: string, names: readonly string[]): MergeStep {
    return this.#merge.keepOnly(where, names);
  }

  /** @internal Runs `fn` with merged adapters out of the weight, and puts them back after. */
  withoutMerged<T>(fn: () => T): T {
    return this.#merge.withoutMerged(fn);
  }

  /** @internal Runs `fn` with the base alone: adapters off, merged ones out of the weight and back after. */
  withBaseAlone<T>(fn: () => T): T {
    const { enabled } = this;
    return this.#merge.withoutMerged(() => {
      this.enabled = false;
      try {
        return fn();
      } finally {
        this.enabled = enabled;
      }
    });
  }

  /** @internal The dropout masks begin anew: the next training forward has the first one again. */
  restartMasks(): void {
    this.#forward.restartMasks();
  }

  /** @internal The base layer to be given back, with what is merged in it for good. @throws OutOfMemoryError; nothing has changed then */
  finish(): Finish {
    return this.#merge.finish();
  }

  /** @internal The base layer with another weight in the place of its own. */
  rebuilt(weight: Parameter): BaseLayer {
    for (const slot of this.base.parameterSlots()) if (slot.name === 'weight') slot.set(weight);
    return this.base;
  }

  /** @internal A float32 weight in the shape of a delta, where that is another shape than its own; both by address. */
  expandWeight(_weight: number, _to: number): void {
    throw new Error(`${this.constructor.name}: the delta has the weight's shape`);
  }

  /** @internal Whether another layer holds the base weight too. */
  get tied(): boolean {
    return this.#merge.tied;
  }

  set tied(value: boolean) {
    this.#merge.tied = value;
  }

  /** @internal */
  addFactors(name: string, parameters: NewFactors): void {
    this.#adapters.add(name, parameters);
  }

  /** @internal */
  removeFactors(name: string): void {
    this.#adapters.remove(name);
  }

  /** @internal */
  setActive(names: readonly string[]): void {
    this.#adapters.active = names;
  }

  /** @internal What the rows of the next batch use, or null for the active adapters. */
  setRows(rows: Rows | null): void {
    this.#forward.rows = rows;
  }

  override dispose(): void {
    this.base.dispose();
    this.#merge.dispose();
    this.#adapters.dispose();
  }

  /** @internal Rows of x as the products see them. */
  planRowsOf(x: Tensor): number {
    return x.size / (x.shape.at(-1) ?? 1);
  }
}

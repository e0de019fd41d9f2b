/**
 * LoraLayer: a layer of any kind with adapters beside it. It stands in the place of its base, with the base's properties, and
 * owns what changes: the adapters there (layer-state.ts), what of them is merged (merge-layer.ts), and the forward
 * (layer-forward.ts). What a kind of layer computes is said by its description (kinds/).
 */
import { ADAPTER_PARTS, slotInModel } from '../../formats/peft-keys.js';
import type { MaskCounter } from '../../nn/mask-counter.js';
import { type Child, Module, type ParameterSlot } from '../../nn/module.js';
import type { Parameter } from '../../tensor/parameter.js';
import type { Tensor } from '../../tensor/tensor.js';
import { checkNumber, describe } from '../../values/checks.js';
import { type LoraLinearOptions, resolveLayerOptions } from '../config/layer-options.js';
import { namesGiven } from '../config/names.js';
import { AdapterError } from '../errors.js';
import type { BaseLayer, LayerAdaptation, LayerKind } from '../kinds/adaptation.js';
import { adaptableOf } from '../kinds/of-class.js';
import { type LoraFactors, strengthOf } from '../maths/factors.js';
import { addFirst } from './first-adapter.js';
import { LayerForward } from './layer-forward.js';
import { LayerState } from './layer-state.js';
import { MergeState } from './merge-layer.js';
import { checkMergeOptions, type MergeOptions } from './merge-options.js';
import { announced, mergedWeights } from './merged-weights.js';

/**
 * A frozen layer with any number of adapters beside it, some of them active, some merged: a Linear, Embedding, Conv2d, or one of
 * a class of your own. It has the properties of the layer it stands for.
 * @typeParam Base - class of the wrapped layer
 */
export class LoraLayer<Base extends BaseLayer = BaseLayer> extends Module {
  /** The wrapped layer. */
  readonly base: Base;
  readonly kind: LayerKind;
  /** Whether the adapters take part in `forward`. Merged ones do as long as they are merged. */
  enabled = true;
  /** @internal The base with the adapters on it. */ readonly state: LayerState<Base>;
  /** @internal What is merged, and the way back. */ readonly merging: MergeState;
  /** @internal */ readonly computing: LayerForward;

  /** @internal Without an adapter. Use `LoraLayer.from` or `LoraModel.attach`. */
  constructor(base: Base, adaptation: LayerAdaptation<Base>) {
    super();
    this.base = base;
    this.kind = adaptation.kind;
    this.state = new LayerState(base, adaptation);
    this.merging = new MergeState(this.state);
    this.computing = new LayerForward(this.state, this, () => this.merging.names);
    standFor(this, base);
  }

  /**
   * Wraps one layer with one adapter named 'default' and freezes it.
   * @param base - a Linear, Embedding or Conv2d, or a layer whose class has a static `adaptation`
   * @throws TypeError, RangeError, AdapterError, OutOfMemoryError; nothing has changed then
   * @example
   * const layer = LoraLayer.from(new Linear(rt, 784, 1000), { r: 4, loraAlpha: 8 });
   */
  static from<B extends BaseLayer>(base: B, options: LoraLinearOptions = {}): LoraLayer<B> {
    return wrapAlone('LoraLayer.from', base, options);
  }

  /** The weight that the active adapters go with: the base's, or what an initialisation left of it. */
  get weight(): Parameter {
    const { standIn } = this.merging;
    if (standIn !== null) return standIn;
    return this.enabled || this.merged ? this.state.unmergedWeight : this.base.weight;
  }

  get bias(): Parameter | null {
    return this.state.bias;
  }

  /** Names of the adapters on this layer. */
  get adapters(): string[] {
    return this.state.names;
  }

  /** Names of the adapters that take part, in their order. */
  get activeAdapters(): string[] {
    return [...this.state.active];
  }

  /** Whether adapters are added into the base weight now. */
  get merged(): boolean {
    return this.merging.names.length > 0;
  }

  /** Names of the merged adapters. */
  get mergedAdapters(): string[] {
    return [...this.merging.names];
  }

  /** Scaling of the first active adapter, its multiplier included. @throws AdapterError */
  get scaling(): number {
    return strengthOf(this.state.get(this.state.firstActive('scaling'), 'scaling'));
  }

  /** The parameters of an adapter. @throws AdapterError */
  factors(name: string): LoraFactors {
    return this.state.get(name, 'factors');
  }

  /**
   * Multiplies an adapter's alpha/r by `multiplier` from now on; 0 gives the base, 1 is the start. DoRA's magnitude is not scaled.
   * @throws TypeError, RangeError; AdapterError when it is merged
   */
  setScale(name: string, multiplier: number): void {
    const where = `${this.state.adaptation.title}.setScale`;
    const factors = this.state.get(name, 'setScale');
    checkNumber(`${where}: multiplier`, multiplier, -Number.MAX_VALUE, Number.MAX_VALUE);
    if (this.merging.names.includes(name))
      throw new AdapterError(`${where}: adapter '${name}' is merged, expected unmerge() first`);
    factors.multiplier = multiplier;
  }

  /** @internal */
  override get masks(): MaskCounter {
    return this.computing.masks;
  }

  override children(): Iterable<Child> {
    return this.base.children();
  }

  override *ownParameters(): Iterable<[string, Parameter]> {
    yield* this.base.ownParameters();
    for (const [name, factors] of this.state.all)
      for (const part of ADAPTER_PARTS) {
        const parameter = factors[part];
        if (parameter !== null) yield [slotInModel(this.kind, part, name), parameter];
      }
  }

  override parameterSlots(): Iterable<ParameterSlot> {
    return this.base.parameterSlots();
  }

  /**
   * What the base's class computes, with the active adapters that are not merged.
   * @throws TypeError, RangeError; AdapterError when it would record gradients through a merged adapter
   */
  override forward(x: Tensor, ...more: unknown[]): Tensor {
    return this.computing.run(x, more);
  }

  /** scaling·B·A of an adapter in the weight's shape: what merging adds (DoRA scales the sum besides). @throws AdapterError */
  deltaWeight(name?: string): Tensor {
    const { base, adaptation, runtime } = this.state;
    const factors = this.state.get(name ?? this.state.firstActive('deltaWeight'), 'deltaWeight');
    return runtime.scope(() => {
      const delta = runtime.empty(adaptation.deltaShape(base), 'f32');
      adaptation.addDelta(base, factors, 0, delta.pointer);
      return delta;
    });
  }

  /**
   * Adds the deltas of `names` (the active adapters that are not merged yet, by default) into the weight. The old bytes are kept.
   * @throws AdapterError when one is merged already or unknown, when the weight is quantised and nothing was asked for, or when
   * `safe` finds NaN or infinity; nothing is merged then
   */
  merge(names?: readonly string[], options: MergeOptions = {}): void {
    const where = `${this.state.adaptation.title}.merge`;
    checkMergeOptions(where, options);
    const open = this.state.active.filter((name) => !this.merging.names.includes(name));
    const wanted = names === undefined ? open : namesGiven(where, names);
    for (const name of wanted) this.state.get(name, 'merge');
    announced(this.merging.merge(where, wanted, options), options, () => mergedWeights([['', this]])).done();
  }

  /** Takes adapters out of the weight again (all by default): what stays is the kept bytes with the others merged anew. @throws AdapterError */
  unmerge(names?: readonly string[]): void {
    const where = `${this.state.adaptation.title}.unmerge`;
    const { merging } = this;
    const rest = merging.without(where, names === undefined ? merging.names : namesGiven(where, names));
    if (rest.length === 0) merging.restore();
    else merging.keepOnly(where, rest).done();
  }

  override dispose(): void {
    this.base.dispose();
    this.merging.dispose();
    this.state.dispose();
  }
}

/** @internal What `from` does, under the name of its caller. @throws TypeError, RangeError, AdapterError, OutOfMemoryError */
export function wrapAlone<B extends BaseLayer>(
  where: string,
  base: B,
  options: LoraLinearOptions,
): LoraLayer<B> {
  const found = base instanceof Module ? adaptableOf(`${where}: base`, base) : null;
  if (found === null)
    throw new TypeError(
      `${where}: base is ${describe(base)}, expected a Linear, Embedding or Conv2d, or a layer whose class has a static adaptation`,
    );
  const resolved = resolveLayerOptions(where, options);
  return found.base.weight.runtime.running.construct(() => {
    const layer = new LoraLayer<B>(base, found.adaptation);
    addFirst(where, layer.state, resolved);
    layer.merging.tied = base.weight.holders > 1;
    return layer;
  });
}

/** Gives a layer the properties of its base that it has none of itself, so that code which reads them there goes on. */
function standFor(layer: Module, base: BaseLayer): void {
  for (const key of Object.keys(base))
    if (!(key in layer))
      Object.defineProperty(layer, key, {
        get: (): unknown => Reflect.get(base, key),
        set: (value: unknown) => Reflect.set(base, key, value),
        configurable: true,
      });
}

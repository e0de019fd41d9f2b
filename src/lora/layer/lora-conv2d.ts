/**
 * LoraConv2d: a Conv2d with low-rank adapters beside it. A is a convolution with the base's window, stride, padding and
 * dilation over every channel; B is 1x1 with the base's groups. With groups the delta sees channels that the base does
 * not: while merged, and after `mergeAndUnload`, the layer is a convolution of one group.
 */

import { Conv2d } from '../../nn/conv2d.js';
import { conv2dAs } from '../../ops/conv2d.js';
import { add } from '../../ops/elementwise.js';
import { elementsOf, expandElements } from '../../ops/expanded.js';
import { loraConv2d } from '../../ops/lora-conv2d.js';
import type { Dora, LoraTerm } from '../../ops/lora-terms.js';
import type { Parameter } from '../../tensor/parameter.js';
import type { Tensor } from '../../tensor/tensor.js';
import {
  type LoraLayerOptions,
  type ResolvedLayerOptions,
  resolveLayerOptions,
} from '../config/layer-options.js';
import { AdapterError } from '../errors.js';
import { type FactorShapes, type LoraFactors, strengthOf } from '../maths/factors.js';
import type { Finish } from '../merging/merge-layer.js';
import { checkBase, checkForward } from './base-layer.js';
import { LoraLayer } from './lora-layer.js';
import { wrapAlone } from './wrap-alone.js';

/** A frozen `Conv2d` with adapters: a convolution by A to r channels, then B of size 1x1, scaled, beside the base. */
export class LoraConv2d extends LoraLayer<Conv2d> {
  readonly kind = 'conv2d';
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;

  /**
   * The layer without an adapter, for the static `loraLayer` of a Conv2d with a forward of its own; else use `LoraConv2d.from` or
   * `LoraModel.attach`.
   * @throws AdapterError for a base with a forward of its own, unless a subclass is made
   */
  constructor(base: Conv2d) {
    super(checkBase('LoraConv2d', base, Conv2d));
    if (new.target === LoraConv2d) checkForward('LoraConv2d: base', base, Conv2d);
    this.inChannels = base.inChannels;
    this.outChannels = base.outChannels;
    this.kernelSize = base.kernelSize;
    this.stride = base.stride;
    this.padding = base.padding;
    this.dilation = base.dilation;
    this.groups = base.groups;
  }

  /** Wraps a Conv2d with one adapter named 'default' and freezes the base. @throws TypeError, RangeError, AdapterError */
  static from(base: Conv2d, options: LoraLayerOptions = {}): LoraConv2d {
    checkBase('LoraConv2d.from', base, Conv2d);
    return wrapAlone(
      'LoraConv2d.from',
      base.runtime,
      () => new LoraConv2d(base),
      resolveLayerOptions('LoraConv2d.from', options),
    );
  }

  /** @internal */
  get outputs(): number {
    return this.outChannels;
  }

  /** @internal */
  shapesFor(where: string, { r, useDora, loraBias, slices }: ResolvedLayerOptions): FactorShapes {
    if (slices !== null) throw new AdapterError(`${where}: fused slices on a Conv2d, expected a Linear`);
    if (r % this.groups !== 0)
      throw new AdapterError(
        `${where}: r is ${r} on a Conv2d of ${this.groups} groups, expected a multiple of them`,
      );
    const O = this.outChannels;
    return {
      A: [r, this.inChannels, ...this.kernelSize],
      B: [O, r / this.groups, 1, 1],
      bias: loraBias ? [O] : null,
      magnitude: useDora ? [1, O, 1, 1] : null,
    };
  }

  override get deltaShape(): readonly number[] {
    return [this.outChannels, this.inChannels, ...this.kernelSize];
  }

  /** @internal */
  computeBase(x: Tensor, weight: Parameter): Tensor {
    const groups = weight.shape[1] === this.inChannels ? 1 : this.groups;
    return conv2dAs('LoraConv2d.forward', x, weight, this.bias, this.#options(groups));
  }

  /** @internal */
  computeAdapted(x: Tensor, weight: Parameter, terms: readonly LoraTerm[], dora: Dora | null): Tensor {
    const where = 'LoraConv2d.forward';
    const options = this.#options(this.groups);
    if (weight.shape[1] === this.inChannels / this.groups)
      return loraConv2d(where, x, { weight, bias: this.bias, options }, terms, dora);
    // Some are merged into a weight of one group: the others' deltas have groups still.
    const rt = this.runtime;
    const zero = rt.zeros(this.base.weight.shape);
    const delta = loraConv2d(where, x, { weight: zero, bias: null, options }, terms, null);
    return add(this.computeBase(x, weight), delta);
  }

  /** @internal */
  addDelta(factors: LoraFactors, w: number, out: number): void {
    const { kernels } = this.runtime.engine;
    const { A, B } = factors;
    const C = this.#columns;
    if (w === 0) kernels.fill(this.outChannels * C, 0, out);
    else if (w !== out) kernels.scale(this.outChannels * C, 1, w, out);
    const [n, r] = [this.outChannels / this.groups, A.shape[0]! / this.groups];
    for (let g = 0; g < this.groups; g++) {
      const [to, b, a] = [out + 4 * g * n * C, B.pointer + 4 * g * n * r, A.pointer + 4 * g * r * C];
      kernels.loraMerge(n, C, r, strengthOf(factors), b, r, a, C, to, C, to, C);
    }
  }

  /**
   * @internal With groups these are PEFT's norms, not those of the delta that acts: B [out, r/groups] is read as a matrix
   * [out/groups, r], its product with A [r, in·kh·kw] as one in the base weight's shape. So a row of it makes `groups`
   * outputs, each from a share of A's columns. Adapters are trained with them, here and there: the magnitude fits no other.
   */
  norms(factors: LoraFactors, w: Tensor, out: number): void {
    const rt = this.runtime;
    const { kernels } = rt.engine;
    const { A, B } = factors;
    const { groups, outChannels: O } = this;
    const [C, r] = [this.#columns, A.shape[0]!];
    const own = C / groups;
    // A merged weight of one group is no base of these norms; DoRA is merged alone, so the base's own stands behind it.
    const from = groups === 1 ? w : this.base.weight;
    const sum = rt.empty([O, own], 'f32');
    expandElements(rt, elementsOf(from), sum.pointer);
    for (let g = 0; g < groups; g++) {
      const [a, to] = [A.pointer + 4 * g * own, sum.pointer + 4 * g * own];
      kernels.loraMerge(O / groups, own, r, strengthOf(factors), B.pointer, r, a, C, to, C, to, C);
    }
    kernels.rowNorms(O, own, sum.pointer, own, out);
    sum.dispose();
  }

  /** @internal */
  scaleOutputs(g: number, weight: number): void {
    const C = this.#columns;
    this.runtime.engine.kernels.affineRows(this.outChannels, C, weight, C, g, 0, weight, C);
  }

  /** @internal */
  override expandWeight(weight: number, to: number): void {
    const { kernels } = this.runtime.engine;
    const [n, C] = [this.outChannels / this.groups, this.#columns];
    const own = C / this.groups;
    kernels.fill(this.outChannels * C, 0, to);
    for (let g = 0; g < this.groups; g++) {
      const from = weight + 4 * g * n * own;
      kernels.loraScaleB(n, own, 1, from, own, to + 4 * (g * n * C + g * own), C);
    }
  }

  /** @internal */
  override finish(): Finish {
    if (this.merged && this.groups > 1 && this.base.forward !== Conv2d.prototype.forward)
      throw new AdapterError(
        `LoraConv2d: a ${this.base.constructor.name} of ${this.groups} groups is merged into a plain Conv2d of one, which has another forward; expected unmerge() and unload()`,
      );
    return super.finish();
  }

  /** @internal */
  override rebuilt(weight: Parameter): Conv2d {
    if (weight.shape[1] !== this.inChannels || this.groups === 1) return super.rebuilt(weight) as Conv2d;
    const { stride, padding, dilation, bias } = this;
    const layer = new Conv2d(this.runtime, this.inChannels, this.outChannels, this.kernelSize, {
      ...{ stride, padding, dilation, bias: false, weight },
    });
    weight.holders = 1;
    (layer as { bias: Parameter | null }).bias = bias;
    if (!this.tied) this.base.weight.block.dispose();
    return layer;
  }

  get #columns(): number {
    return this.inChannels * this.kernelSize[0] * this.kernelSize[1];
  }

  #options(groups: number) {
    const { stride, padding, dilation } = this;
    return { stride, padding, dilation, groups };
  }
}

/**
 * How convolutions are adapted. A is a convolution with the base's window, stride, padding and dilation over every channel; B
 * is 1x1 with the base's groups. With groups the delta sees channels that the base does not: while merged, and after
 * `mergeAndUnload`, the layer is a convolution of one group.
 */
import { Conv2d } from '../../nn/conv2d.js';
import type { Conv2dOperationOptions } from '../../ops/conv-sizes.js';
import { conv2dAs } from '../../ops/conv2d.js';
import { add } from '../../ops/elementwise.js';
import { loraConv2d } from '../../ops/lora-conv2d.js';
import type { Parameter } from '../../tensor/parameter.js';
import type { Tensor } from '../../tensor/tensor.js';
import { sizeOf } from '../../values/shape.js';
import { AdapterError } from '../errors.js';
import {
  addConvDelta,
  type ConvLayout,
  convNorms,
  expandGroups,
  scaleConvOutputs,
} from '../maths/conv-delta.js';
import {
  type AdaptationOptions,
  aroundOf,
  type BaseLayer,
  type LayerAdaptation,
  type ProductParts,
  withOwnWeight,
} from './adaptation.js';
import { checkAdaptationOptions } from './check.js';

/** A convolution: how its window moves, each as `conv2d` takes it. */
export interface ConvLayer extends BaseLayer, Conv2dOperationOptions {}

/**
 * How a class is adapted whose layers are convolutions: `weight` is [out, in/groups, kh, kw], `bias`, where there is one, [out],
 * and `stride`, `padding`, `dilation` and `groups` are properties.
 * @typeParam L - the class's instances
 * @throws TypeError
 * @example
 * class Padded extends Conv2d {
 *   static readonly adaptation = conv2dAdaptation<Padded>({ forward: (_layer, convolve, x) => relu(convolve(x)) });
 *   override forward(x: Tensor) { return relu(super.forward(x)); }
 * }
 */
export function conv2dAdaptation<L extends ConvLayer>(
  options: AdaptationOptions<L> = {},
): LayerAdaptation<L> {
  checkAdaptationOptions('conv2dAdaptation', options, {});
  return {
    ...{ kind: 'conv2d', title: 'LoraConv2d', around: aroundOf(options) },
    outputs: ({ weight }) => weight.shape[0]!,
    fanInFanOut: () => false,
    shapes(where, layer, { r, useDora, loraBias, slices }) {
      if (slices !== null) throw new AdapterError(`${where}: fused slices on a Conv2d, expected a Linear`);
      const groups = groupsOf(layer);
      if (r % groups !== 0)
        throw new AdapterError(
          `${where}: r is ${r} on a Conv2d of ${groups} groups, expected a multiple of them`,
        );
      const [O, ...window] = deltaShape(layer);
      return {
        ...{ A: [r, ...window], B: [O!, r / groups, 1, 1] },
        ...{ bias: loraBias ? [O!] : null, magnitude: useDora ? [1, O!, 1, 1] : null },
      };
    },
    ranges: () => null,
    product,
    planRows: (x) => x.size / (x.shape.at(-1) ?? 1),
    addDelta: (layer, factors, w, out) => addConvDelta(layoutOf(layer), factors, w, out),
    // A merged weight of one group is no base of these norms; DoRA is merged alone, so the base's own stands behind it.
    norms: (layer, factors, w, out) =>
      convNorms(layoutOf(layer), factors, groupsOf(layer) === 1 ? w : layer.weight, out),
    scaleOutputs: (layer, g, weight) => scaleConvOutputs(layoutOf(layer), g, weight),
    deltaShape,
    expandWeight: (layer, weight, to) => expandGroups(layoutOf(layer), weight, to),
    withWeight,
  };
}

const WHERE = 'LoraConv2d.forward';

function groupsOf({ groups = 1 }: ConvLayer): number {
  return groups;
}

function deltaShape(layer: ConvLayer): number[] {
  const [O = 0, own = 0, ...window] = layer.weight.shape;
  return [O, own * groupsOf(layer), ...window];
}

function layoutOf(layer: ConvLayer): ConvLayout {
  const [O = 0, ...window] = deltaShape(layer);
  return { rt: layer.weight.runtime, O, C: sizeOf(window), groups: groupsOf(layer) };
}

function product(layer: ConvLayer, x: Tensor, parts: ProductParts): Tensor {
  const { stride = 1, padding = 0, dilation = 1, bias = null } = layer;
  const { weight, terms, dora } = parts;
  // One that was merged into sees every channel.
  const isWhole = groupsOf(layer) > 1 && weight.shape[1] !== layer.weight.shape[1];
  const options = { stride, padding, dilation, groups: groupsOf(layer) };
  if (!isWhole && terms.length > 0) return loraConv2d(WHERE, x, { weight, bias, options }, terms, dora);
  const base = conv2dAs(WHERE, x, weight, bias, isWhole ? { stride, padding, dilation } : options);
  if (terms.length === 0) return base;
  // Some are merged into a weight of one group: the others' deltas have groups still.
  const zero = weight.runtime.zeros(layer.weight.shape);
  return add(base, loraConv2d(WHERE, x, { weight: zero, bias: null, options }, terms, null));
}

/** A merged weight that sees every channel makes a convolution of one group. @throws AdapterError for a class that is not Conv2d's */
function withWeight(layer: ConvLayer, weight: Parameter, tied: boolean): () => BaseLayer {
  if (groupsOf(layer) === 1 || weight.shape[1] === layer.weight.shape[1]) return withOwnWeight(layer, weight);
  if (!(layer instanceof Conv2d) || layer.forward !== Conv2d.prototype.forward)
    throw new AdapterError(
      `LoraConv2d: a ${layer.constructor.name} of ${groupsOf(layer)} groups is merged into a plain Conv2d of one, which has another forward; expected unmerge() and unload()`,
    );
  return () => {
    const { stride, padding, dilation, inChannels, outChannels, kernelSize, bias } = layer;
    const whole = new Conv2d(weight.runtime, inChannels, outChannels, kernelSize, {
      ...{ stride, padding, dilation, bias: false, weight },
    });
    weight.holders = 1;
    (whole as { bias: Parameter | null }).bias = bias;
    if (!tied) layer.weight.block.dispose();
    return whole;
  };
}

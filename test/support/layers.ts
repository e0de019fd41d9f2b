/** Every kind of LoRA layer with a fitting input, for tests that must hold for all of them. */
import {
  Conv2d,
  Embedding,
  type Layer,
  Linear,
  LoraConv2d,
  LoraEmbedding,
  LoraLayer,
  type LoraLayerOptions,
  LoraLinear,
  type LoraModel,
  type Module,
  type Runtime,
  type Tensor,
} from '../../src/index.js';

export type AnyLoraLayer = LoraLinear | LoraEmbedding | LoraConv2d;

export interface LayerKindCase {
  readonly name: string;
  /** @param more - options beside the case's own, as `dtype` */
  readonly base: (rt: Runtime, more?: object) => Layer;
  readonly wrap: (base: Layer, options: LoraLayerOptions) => AnyLoraLayer;
  readonly input: (rt: Runtime) => Tensor;
}

const linear =
  (options: object) =>
  (rt: Runtime, more: object = {}) =>
    new Linear(rt, 9, 7, { ...options, ...more });
const conv =
  (options: object) =>
  (rt: Runtime, more: object = {}) =>
    new Conv2d(rt, 4, 6, [3, 2], { ...options, ...more });
const rows = (rt: Runtime): Tensor => rt.normal([5, 9]).keep();
const images = (rt: Runtime): Tensor => rt.normal([2, 4, 5, 4]).keep();
const wrapLinear = (base: Layer, options: LoraLayerOptions) => LoraLinear.from(base as Linear, options);
const wrapConv = (base: Layer, options: LoraLayerOptions) => LoraConv2d.from(base as Conv2d, options);

export const LAYER_KINDS: readonly LayerKindCase[] = [
  { name: 'Linear', base: linear({}), wrap: wrapLinear, input: rows },
  { name: 'Linear without bias', base: linear({ bias: false }), wrap: wrapLinear, input: rows },
  { name: 'Linear, fan in fan out', base: linear({ fanInFanOut: true }), wrap: wrapLinear, input: rows },
  {
    name: 'Embedding',
    base: (rt, more = {}) => new Embedding(rt, 11, 7, more),
    wrap: (base, options) => LoraEmbedding.from(base as Embedding, options),
    input: (rt) => rt.tensor(Int32Array.of(0, 10, 3, 3, 7, 1), [3, 2]).keep(),
  },
  { name: 'Conv2d', base: conv({ stride: [2, 1], padding: 1 }), wrap: wrapConv, input: images },
  { name: 'Conv2d, dilated', base: conv({ padding: 2, dilation: 2 }), wrap: wrapConv, input: images },
  {
    name: 'Conv2d, 2 groups, no bias',
    base: conv({ groups: 2, padding: [1, 0], bias: false }),
    wrap: wrapConv,
    input: images,
  },
];

/** The output's values, without a trace. */
export function valuesOf(rt: Runtime, layer: Layer, x: Tensor): number[] {
  return rt.scope(() => rt.noGrad(() => [...layer.forward(x).toArray()]));
}

/** The output's values, and the gradients of x, where it has any, and of the adapter after one backward. */
export function trainedValues(rt: Runtime, layer: AnyLoraLayer, x: Tensor): ArrayLike<number>[] {
  if (x.dtype === 'f32') {
    x.grad = null;
    x.requiresGrad = true;
  }
  const { A, B, magnitude } = layer.factors('default');
  rt.scope(() => {
    const y = layer.forward(x);
    y.backward(
      rt.tensor(
        Float32Array.from({ length: y.size }, (_, i) => Math.cos(i)),
        y.shape,
      ),
    );
  });
  return [valuesOf(rt, layer, x), ...[x, A, B, magnitude].map((tensor) => tensor?.grad?.toArray() ?? [])];
}

export function apart(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let most = a.length === b.length ? 0 : Number.POSITIVE_INFINITY;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i]! - b[i]!));
  return most;
}

export function largestOf(a: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i]!));
  return most;
}

/** Gives B values, so that the adapter does something; an embedding's A, which starts at zero. */
export function stir(rt: Runtime, layer: AnyLoraLayer, name = 'default'): void {
  const { A, B, bias, magnitude } = layer.factors(name);
  for (const parameter of [A, B, ...(bias === null ? [] : [bias])]) {
    const drawn = rt.normal(parameter.shape, 0.3);
    parameter.set(drawn);
    drawn.dispose();
  }
  if (magnitude !== null) magnitude.set([...magnitude.toArray()].map((m, i) => m * (1 + 0.1 * (i % 3))));
}

/** Gives all Linear layers of a model values in an adapter that they have. */
export function stirAll(rt: Runtime, lora: LoraModel, name = 'default'): void {
  for (const [, module] of lora.namedModules())
    if (module instanceof LoraLinear && module.adapters.includes(name)) stir(rt, module, name);
}

/** All LoRA layers of a model, in its order. */
export function loraLayersOf(lora: LoraModel<Module>): AnyLoraLayer[] {
  return lora
    .namedModules()
    .flatMap(([, module]) => (module instanceof LoraLayer ? [module as AnyLoraLayer] : []));
}

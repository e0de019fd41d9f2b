/** Layers over a quantised weight beside the same over float32 of its values. */
import { expect } from 'vitest';
import {
  Embedding,
  Linear,
  LoraEmbedding,
  type LoraLayerOptions,
  LoraLinear,
  LoraModel,
  type Parameter,
  type Runtime,
  Sequential,
  type Tensor,
} from '../../src/index.js';
import { DTYPE_INFO, type QuantisedDType } from '../../src/values/dtypes.js';
import { expandedValues, quantised } from './blocks.js';
import { stir } from './layers.js';
import { expectSame } from './numbers.js';

export type Layer = LoraLinear | LoraEmbedding;

export interface BaseKind {
  readonly name: string;
  /** Of the weight, in a type whose blocks have so many elements. */
  readonly shape: (elements: number) => [number, number];
  readonly base: (rt: Runtime, weight: Parameter) => Linear | Embedding;
  readonly input: (rt: Runtime, elements: number) => Tensor;
}

export const BASE_KINDS: readonly BaseKind[] = [
  {
    name: 'Linear',
    shape: (elements) => [35, elements],
    base: (rt, weight) => new Linear(rt, weight.shape[1]!, 35, { weight }),
    input: (rt, elements) => rt.normal([5, elements]).keep(),
  },
  {
    name: 'Linear, fan in fan out',
    shape: (elements) => [9, elements],
    base: (rt, weight) => new Linear(rt, 9, weight.shape[1]!, { weight, fanInFanOut: true }),
    input: (rt) => rt.normal([30, 9]).keep(),
  },
  {
    name: 'Embedding',
    shape: (elements) => [11, elements],
    base: (rt, weight) => new Embedding(rt, 11, weight.shape[1]!, { weight }),
    input: (rt) => rt.tensor(Int32Array.of(0, 10, 3, 3, 7, 1), [3, 2]).keep(),
  },
];

/** A layer over a quantised weight and one over float32 of its values, with the same bias. */
export function basePair(rt: Runtime, dtype: QuantisedDType, { shape, base }: BaseKind): [Linear, Linear] {
  const weight = quantised(rt, dtype, shape(DTYPE_INFO[dtype].elements));
  const plain = rt.parameter(expandedValues(weight), weight.shape);
  const made = [weight, plain].map((one) => base(rt, one)) as [Linear, Linear];
  made[1].bias?.set(made[0].bias!);
  return made;
}

/** The two under adapters of the same values, with the same dropout masks. */
export function adaptedTwins(
  rt: Runtime,
  dtype: QuantisedDType,
  kind: BaseKind,
  options: LoraLayerOptions,
): [Layer, Layer] {
  const { layers } = rt.engine;
  const [own, other] = basePair(rt, dtype, kind).map((base) => {
    rt.engine.layers = layers;
    return kind.name === 'Embedding'
      ? LoraEmbedding.from(base as unknown as Embedding, options)
      : LoraLinear.from(base, options);
  }) as [Layer, Layer];
  expect(own.factors('default').magnitude?.toArray()).toEqual(other.factors('default').magnitude?.toArray());
  stir(rt, own);
  for (const part of ['A', 'B', 'magnitude'] as const)
    other.factors('default')[part]?.set(own.factors('default')[part]!);
  return [own, other];
}

export function expectAll(found: readonly ArrayLike<number>[], wanted: readonly ArrayLike<number>[]): void {
  for (const [i, values] of wanted.entries()) expectSame(found[i]!, values, `list ${i}`);
}

export function attached(layer: Linear, more: object = {}): LoraModel<Sequential> {
  return LoraModel.attach(new Sequential(layer), { r: 2, loraAlpha: 2, targetModules: ['0'], ...more });
}

export function layerOf(lora: LoraModel<Sequential>): LoraLinear {
  return lora.model.layers[0] as unknown as LoraLinear;
}

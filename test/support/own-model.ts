/** A model that is no Sequential: two inputs and options by name, an object as output. */
import {
  add,
  Embedding,
  Linear,
  type LoraModel,
  Module,
  mean,
  mul,
  type Runtime,
  scale,
  type Tensor,
} from '../../src/index.js';

export interface Output {
  readonly pooled: Tensor;
  readonly seen: number;
}

export class Attention extends Module {
  readonly q: Linear;
  readonly v: Linear;

  constructor(rt: Runtime) {
    super();
    this.q = new Linear(rt, 6, 6);
    this.v = new Linear(rt, 6, 6);
  }

  override forward(x: Tensor, mask: Tensor): Tensor {
    return mul(add(this.q.forward(x), this.v.forward(x)), mask);
  }
}

export class Encoder extends Module {
  readonly embed: Embedding;
  readonly blocks: { readonly attention: Attention }[];

  constructor(rt: Runtime) {
    super();
    this.embed = new Embedding(rt, 11, 6);
    this.blocks = [{ attention: new Attention(rt) }, { attention: new Attention(rt) }];
  }

  /** @param ids - [batch, length] @param mask - [batch, length, 6] */
  override forward(
    ids: Tensor,
    mask: Tensor,
    { strength = 1, adapterNames }: { strength?: number; adapterNames?: number } = {},
  ): Output {
    const x = this.blocks.reduce((y, { attention }) => attention.forward(y, mask), this.embed.forward(ids));
    return { pooled: scale(mean(x, [1]), strength), seen: adapterNames ?? 0 };
  }
}

export const CONFIG = { r: 2, loraAlpha: 4, targetModules: ['q', 'v'] } as const;

export const Q = 'blocks.1.attention.q';

export function inputsFor(rt: Runtime, batch = 3): { ids: Tensor; mask: Tensor } {
  const ids = rt.tensor(
    Int32Array.from({ length: batch * 4 }, (_, i) => (i * 7) % 11),
    [batch, 4],
  );
  const mask = rt.tensor(
    Float32Array.from({ length: batch * 24 }, (_, i) => Number(i % 24 < 18)),
    [batch, 4, 6],
  );
  return { ids: ids.keep(), mask: mask.keep() };
}

export function stirEncoder(rt: Runtime, lora: LoraModel<Encoder>, name: string): void {
  for (const [key, parameter] of lora.namedParameters())
    if (key.split('.').includes(name))
      rt.scope(() => {
        parameter.set(rt.normal(parameter.shape, 0.4));
      });
}

export const pooledValues = (rt: Runtime, run: () => Output): number[] =>
  rt.scope(() => rt.noGrad(() => [...run().pooled.toArray()]));

/** A small model of every kind of layer that takes adapters, with a tied head, for tests of what happens to a whole model. */
import {
  Conv2d,
  Embedding,
  Flatten,
  Linear,
  LoraConv2d,
  LoraEmbedding,
  LoraLinear,
  type LoraModel,
  Module,
  type Runtime,
  reshape,
  type Tensor,
} from '../../src/index.js';
import type { AnyLoraLayer } from './layers.js';

/** A table, a convolution of two groups, a layer, one stored [in, out], and a head that shares the table's weight. */
export class MixedModel extends Module {
  readonly table: Embedding;
  readonly conv: Conv2d;
  readonly flat = new Flatten();
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly head: Linear;

  constructor(rt: Runtime) {
    super();
    this.table = new Embedding(rt, 9, 4);
    this.conv = new Conv2d(rt, 2, 4, 1, { groups: 2 });
    this.fc1 = new Linear(rt, 16, 6);
    this.fc2 = new Linear(rt, 6, 4, { fanInFanOut: true });
    this.head = new Linear(rt, 4, 9, { bias: false, weight: this.table.weight });
  }

  /** @param ids - [batch, 2] */
  override forward(ids: Tensor): Tensor {
    const images = reshape(this.table.forward(ids), [ids.shape[0]!, 2, 2, 2]);
    const hidden = this.fc1.forward(this.flat.forward(this.conv.forward(images)));
    return this.head.forward(this.fc2.forward(hidden));
  }
}

export const MIXED_LAYERS = ['table', 'conv', 'fc1', 'fc2', 'head'] as const;

export function idsFor(rt: Runtime): Tensor {
  return rt.tensor(Int32Array.of(0, 8, 3, 3, 7, 1, 2, 5), [4, 2]).keep();
}

export function loraLayers(lora: LoraModel): AnyLoraLayer[] {
  return lora
    .namedModules()
    .map(([, module]) => module)
    .filter(
      (module): module is AnyLoraLayer =>
        module instanceof LoraLinear || module instanceof LoraEmbedding || module instanceof LoraConv2d,
    );
}

/** Gives every value of the adapters a random one; magnitudes stay above 0. */
export function stirAdapters(rt: Runtime, lora: LoraModel): void {
  for (const [name, parameter] of lora.namedParameters()) {
    if (!/lora_|trained|modules_to_save/.test(name)) continue;
    const drawn = rt.scope(() => rt.normal(parameter.shape, 0.3).toArray()) as Float32Array;
    parameter.set(
      name.includes('magnitude')
        ? (parameter.toArray() as Float32Array).map((m, i) => m * (1 + 0.3 * drawn[i]!))
        : drawn,
    );
  }
}

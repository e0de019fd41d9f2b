/** Small models that several tests adapt: two layers, layers in a list under a head, a head that shares the table's weight. */
import {
  Embedding,
  LayerNorm,
  Linear,
  Module,
  ReLU,
  type Runtime,
  Sequential,
  type Tensor,
} from '../../src/index.js';

/** fc2(relu(fc1(x))), [batch, 13] to [batch, 7]. */
export class Mlp extends Module {
  readonly fc1: Linear;
  readonly act = new ReLU();
  readonly fc2: Linear;

  constructor(rt: Runtime) {
    super();
    this.fc1 = new Linear(rt, 13, 11);
    this.fc2 = new Linear(rt, 11, 7);
  }

  override forward(x: Tensor): Tensor {
    return this.fc2.forward(this.act.forward(this.fc1.forward(x)));
  }
}

/** Ids from 0 to 8; the head's weight is the embedding's. */
export class Tied extends Module {
  readonly embedding: Embedding;
  readonly head: Linear;

  constructor(rt: Runtime) {
    super();
    this.embedding = new Embedding(rt, 9, 8);
    this.head = new Linear(rt, 8, 9, { bias: false, weight: this.embedding.weight });
  }

  override forward(ids: Tensor): Tensor {
    return this.head.forward(this.embedding.forward(ids));
  }
}

/** A list of layers with names of numbers, a norm and a head, [batch, 6] to [batch, 4]. */
export class Headed extends Module {
  readonly layers: Sequential[];
  readonly norm: LayerNorm;
  readonly lm_head: Linear;

  constructor(rt: Runtime) {
    super();
    this.layers = [0, 1].map(() => new Sequential(new Linear(rt, 6, 6), new Linear(rt, 6, 6)));
    this.norm = new LayerNorm(rt, 6);
    this.lm_head = new Linear(rt, 6, 4);
  }

  override forward(x: Tensor): Tensor {
    return this.lm_head.forward(
      this.norm.forward(this.layers.reduce((value, layer) => layer.forward(value), x)),
    );
  }
}

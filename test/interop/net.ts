/** The model of the round trip; `peft_side.py` has the same. */
import {
  Conv2d,
  Embedding,
  LayerNorm,
  Linear,
  Module,
  mean,
  type Runtime,
  type Tensor,
  tanh,
} from '../../src/index.js';

export class Net extends Module {
  readonly wte: Embedding;
  readonly norm: LayerNorm;
  readonly conv: Conv2d;
  readonly plain: Conv2d;
  readonly fc: Linear;
  readonly head: Linear;

  constructor(rt: Runtime) {
    super();
    this.wte = new Embedding(rt, 9, 6);
    this.norm = new LayerNorm(rt, 6);
    this.conv = new Conv2d(rt, 2, 4, 3, { padding: 1, groups: 2 });
    this.plain = new Conv2d(rt, 4, 4, [3, 2], { stride: [2, 1] });
    this.fc = new Linear(rt, 4, 5, { fanInFanOut: true });
    this.head = new Linear(rt, 5, 3);
  }

  override forward(ids: Tensor): Tensor {
    const images = tanh(this.conv.forward(this.norm.forward(this.wte.forward(ids))));
    return this.head.forward(tanh(this.fc.forward(mean(tanh(this.plain.forward(images)), [2, 3]))));
  }
}

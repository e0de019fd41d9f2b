/** A model with the names of a language model: a table of tokens, and layers of attention. */
import { add, Embedding, Linear, Module, type Runtime, type Tensor } from '../../src/index.js';

export class Attention extends Module {
  readonly q_proj: Linear;
  readonly v_proj: Linear;

  constructor(rt: Runtime) {
    super();
    this.q_proj = new Linear(rt, 8, 8, { bias: false });
    this.v_proj = new Linear(rt, 8, 8, { bias: false });
  }

  override forward(x: Tensor): Tensor {
    return add(this.q_proj.forward(x), this.v_proj.forward(x));
  }
}

export class Language extends Module {
  readonly model: { readonly embed_tokens: Embedding; readonly layers: { readonly self_attn: Attention }[] };

  constructor(rt: Runtime) {
    super();
    this.model = {
      embed_tokens: new Embedding(rt, 12, 8),
      layers: [{ self_attn: new Attention(rt) }, { self_attn: new Attention(rt) }],
    };
  }

  override forward(ids: Tensor): Tensor {
    const { embed_tokens, layers } = this.model;
    return layers.reduce((x, { self_attn }) => self_attn.forward(x), embed_tokens.forward(ids));
  }
}

/** One block of a Llama-like model: attention and MLP, each behind a norm and beside a residual. Names as in transformers. */
import type { Linear } from '../nn/linear.js';
import { Module } from '../nn/module.js';
import type { RMSNorm } from '../nn/rms-norm.js';
import { causalAttention } from '../ops/attention.js';
import { add } from '../ops/elementwise.js';
import type { Indices } from '../ops/indices.js';
import { reshape } from '../ops/reduce.js';
import { type RotaryTable, rotate } from '../ops/rotary.js';
import { swiglu } from '../ops/swiglu.js';
import type { Tensor } from '../tensor/tensor.js';
import type { ModelConfig } from './config.js';
import type { KvCache } from './kv-cache.js';
import type { WeightMaker } from './weights.js';

/** What all blocks of one run share. */
export interface RunContext {
  readonly table: RotaryTable;
  readonly starts?: Indices;
  readonly positions?: Indices;
  readonly cache: KvCache | null;
  /** Whether backward computes each block again. Default false. */
  readonly checkpoint?: boolean;
}

/** Attention over grouped heads, with rotary positions. */
export class Attention extends Module {
  readonly q_proj: Linear;
  readonly k_proj: Linear;
  readonly v_proj: Linear;
  readonly o_proj: Linear;
  readonly q_norm: RMSNorm | null;
  readonly k_norm: RMSNorm | null;
  readonly #config: ModelConfig;
  readonly #layer: number;

  /** @internal */
  constructor(make: WeightMaker, config: ModelConfig, layer: number, name: string) {
    super();
    this.#config = config;
    this.#layer = layer;
    const { hiddenSize, headDim, qkvBias, qkNorm, rmsNormEps } = config;
    const [width, kvWidth] = [config.numAttentionHeads * headDim, config.numKeyValueHeads * headDim];
    this.q_proj = make.linear(`${name}.q_proj`, hiddenSize, width, qkvBias);
    this.k_proj = make.linear(`${name}.k_proj`, hiddenSize, kvWidth, qkvBias);
    this.v_proj = make.linear(`${name}.v_proj`, hiddenSize, kvWidth, qkvBias);
    this.o_proj = make.linear(`${name}.o_proj`, width, hiddenSize, config.outBias);
    this.q_norm = qkNorm ? make.norm(headDim, rmsNormEps) : null;
    this.k_norm = qkNorm ? make.norm(headDim, rmsNormEps) : null;
  }

  /** @param x - [B, T, hidden] @returns the same shape */
  override forward(x: Tensor, { table, starts, positions, cache }: RunContext): Tensor {
    const { numAttentionHeads: heads, numKeyValueHeads: kvHeads, windows } = this.#config;
    const q = rotate(this.#normed(this.q_proj.forward(x), this.q_norm), table, positions);
    const k = rotate(this.#normed(this.k_proj.forward(x), this.k_norm), table, positions);
    const v = this.v_proj.forward(x);
    const seen = cache === null ? { k, v } : cache.extend(this.#layer, k, v);
    const window = windows[this.#layer] ?? null;
    const y = causalAttention(q, seen.k, seen.v, {
      ...{ heads, kvHeads, offset: cache?.length ?? 0 },
      ...(window === null ? {} : { window }),
      ...(starts === undefined ? {} : { starts }),
    });
    return this.o_proj.forward(y);
  }

  #normed(x: Tensor, norm: RMSNorm | null): Tensor {
    if (norm === null) return x;
    const { headDim } = this.#config;
    return reshape(norm.forward(reshape(x, [x.size / headDim, headDim])), x.shape);
  }
}

/** The gated feed-forward part. */
export class Mlp extends Module {
  readonly gate_proj: Linear;
  readonly up_proj: Linear;
  readonly down_proj: Linear;

  /** @internal */
  constructor(make: WeightMaker, { hiddenSize, intermediateSize, mlpBias }: ModelConfig, name: string) {
    super();
    this.gate_proj = make.linear(`${name}.gate_proj`, hiddenSize, intermediateSize, mlpBias);
    this.up_proj = make.linear(`${name}.up_proj`, hiddenSize, intermediateSize, mlpBias);
    this.down_proj = make.linear(`${name}.down_proj`, intermediateSize, hiddenSize, mlpBias);
  }

  /** @param x - [B, T, hidden] @returns the same shape */
  override forward(x: Tensor): Tensor {
    return this.down_proj.forward(swiglu(this.gate_proj.forward(x), this.up_proj.forward(x)));
  }
}

/** x + attention(norm(x)), then the same with the MLP. */
export class DecoderLayer extends Module {
  readonly self_attn: Attention;
  readonly mlp: Mlp;
  readonly input_layernorm: RMSNorm;
  readonly post_attention_layernorm: RMSNorm;

  /** @internal */
  constructor(make: WeightMaker, config: ModelConfig, layer: number) {
    super();
    const name = `model.layers.${layer}`;
    this.self_attn = new Attention(make, config, layer, `${name}.self_attn`);
    this.mlp = new Mlp(make, config, `${name}.mlp`);
    this.input_layernorm = make.norm(config.hiddenSize, config.rmsNormEps);
    this.post_attention_layernorm = make.norm(config.hiddenSize, config.rmsNormEps);
  }

  /** @param x - [B, T, hidden] @returns the same shape */
  override forward(x: Tensor, run: RunContext): Tensor {
    const read = add(x, this.self_attn.forward(this.input_layernorm.forward(x), run));
    return add(read, this.mlp.forward(this.post_attention_layernorm.forward(read)));
  }
}

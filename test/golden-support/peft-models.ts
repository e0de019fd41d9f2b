/** The small models of `make_peft_golden.py` under the same module names, with the sizes and the values of a base file. */
import {
  add,
  Conv2d,
  Embedding,
  LayerNorm,
  Linear,
  Module,
  mean,
  mul,
  ReLU,
  type Runtime,
  relu,
  type Tensor,
  type Layer as Tensors,
  tanh,
} from 'lora-wasm';
import { type GoldenFile, pick } from './files.js';

/** The model that a base file is of, by its names. @param channels - of the images, for convolutions */
export function modelOf(rt: Runtime, base: GoldenFile, channels: number): Tensors {
  if (base.has('lm_head.weight')) return new Blocks(rt, base);
  if (base.has('c_fc.weight')) return new Gpt2Mlp(rt, base);
  if (base.has('wte.weight')) return new Lookup(rt, base);
  if (base.has('conv.weight')) return new Convolution(rt, base, channels);
  return base.has('head.weight') ? new HeadMlp(rt, base) : new Mlp(rt, base);
}

/** fc2(relu(fc1(x))), with the sizes and biases of the base file. */
class Mlp extends Module {
  readonly fc1: Linear;
  readonly act = new ReLU();
  readonly fc2: Linear;

  constructor(rt: Runtime, base: GoldenFile) {
    super();
    this.fc1 = linearOf(rt, base, 'fc1');
    this.fc2 = linearOf(rt, base, 'fc2');
    this.loadStateDict(base);
  }

  override forward(x: Tensor): Tensor {
    return this.fc2.forward(this.act.forward(this.fc1.forward(x)));
  }
}

function linearOf(rt: Runtime, base: GoldenFile, name: string): Linear {
  const [outputs, inputs] = pick(base, `${name}.weight`).shape as [number, number];
  return new Linear(rt, inputs, outputs, { bias: base.has(`${name}.bias`) });
}

class Attention extends Module {
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly o: Linear;

  constructor(rt: Runtime, base: GoldenFile, path: string) {
    super();
    this.q = linearOf(rt, base, `${path}.q`);
    this.k = linearOf(rt, base, `${path}.k`);
    this.v = linearOf(rt, base, `${path}.v`);
    this.o = linearOf(rt, base, `${path}.o`);
  }

  override forward(x: Tensor): Tensor {
    return add(x, this.o.forward(add(mul(tanh(this.q.forward(x)), this.k.forward(x)), this.v.forward(x))));
  }
}

class Layer extends Module {
  readonly attn: Attention;

  constructor(rt: Runtime, base: GoldenFile, path: string) {
    super();
    this.attn = new Attention(rt, base, `${path}.attn`);
  }

  override forward(x: Tensor): Tensor {
    return this.attn.forward(x);
  }
}

class Inner extends Module {
  readonly layers: Layer[] = [];

  constructor(rt: Runtime, base: GoldenFile) {
    super();
    for (let i = 0; base.has(`model.layers.${i}.attn.q.weight`); i++)
      this.layers.push(new Layer(rt, base, `model.layers.${i}`));
  }

  override forward(x: Tensor): Tensor {
    return this.layers.reduce((value, layer) => layer.forward(value), x);
  }
}

/** lm_head(model(x)); model.layers.N: x + attn.o(tanh(attn.q(x)) * attn.k(x) + attn.v(x)). */
class Blocks extends Module {
  readonly model: Inner;
  readonly lm_head: Linear;

  constructor(rt: Runtime, base: GoldenFile) {
    super();
    this.model = new Inner(rt, base);
    this.lm_head = linearOf(rt, base, 'lm_head');
    this.loadStateDict(base);
  }

  override forward(x: Tensor): Tensor {
    return this.lm_head.forward(this.model.forward(x));
  }
}

/** head(norm(fc2(relu(fc1(x))))). */
class HeadMlp extends Module {
  readonly fc1: Linear;
  readonly act = new ReLU();
  readonly fc2: Linear;
  readonly norm: LayerNorm;
  readonly head: Linear;

  constructor(rt: Runtime, base: GoldenFile) {
    super();
    this.fc1 = linearOf(rt, base, 'fc1');
    this.fc2 = linearOf(rt, base, 'fc2');
    this.norm = new LayerNorm(rt, pick(base, 'norm.weight').shape[0]!);
    this.head = linearOf(rt, base, 'head');
    this.loadStateDict(base);
  }

  override forward(x: Tensor): Tensor {
    return this.head.forward(this.norm.forward(this.fc2.forward(this.act.forward(this.fc1.forward(x)))));
  }
}

/** c_proj(relu(c_fc(x))), weights stored [in, out]. */
class Gpt2Mlp extends Module {
  readonly c_fc: Linear;
  readonly c_proj: Linear;

  constructor(rt: Runtime, base: GoldenFile) {
    super();
    const layer = (name: string): Linear => {
      const [inputs, outputs] = pick(base, `${name}.weight`).shape as [number, number];
      return new Linear(rt, inputs, outputs, { fanInFanOut: true });
    };
    this.c_fc = layer('c_fc');
    this.c_proj = layer('c_proj');
    this.loadStateDict(base);
  }

  override forward(x: Tensor): Tensor {
    return this.c_proj.forward(relu(this.c_fc.forward(x)));
  }
}

/** out(wte(ids)). */
class Lookup extends Module {
  readonly wte: Embedding;
  readonly out: Linear;

  constructor(rt: Runtime, base: GoldenFile) {
    super();
    const [rows, dim] = pick(base, 'wte.weight').shape as [number, number];
    this.wte = new Embedding(rt, rows, dim);
    this.out = linearOf(rt, base, 'out');
    this.loadStateDict(base);
  }

  override forward(ids: Tensor): Tensor {
    return this.out.forward(this.wte.forward(ids));
  }
}

/** fc(mean over height and width of relu(conv(x))), stride (2, 1), padding (1, 0). */
class Convolution extends Module {
  readonly conv: Conv2d;
  readonly fc: Linear;

  constructor(rt: Runtime, base: GoldenFile, channels: number) {
    super();
    const [outputs, groupChannels, ...kernel] = pick(base, 'conv.weight').shape as [
      number,
      number,
      number,
      number,
    ];
    this.conv = new Conv2d(rt, channels, outputs, kernel as [number, number], {
      stride: [2, 1],
      padding: [1, 0],
      groups: channels / groupChannels,
    });
    this.fc = linearOf(rt, base, 'fc');
    this.loadStateDict(base);
  }

  override forward(x: Tensor): Tensor {
    return this.fc.forward(mean(relu(this.conv.forward(x)), [2, 3]));
  }
}

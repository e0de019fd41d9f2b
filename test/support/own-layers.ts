/** Layers of a user's own classes, which extend none of the package's, one of each kind that can be adapted. */
import {
  conv2d,
  conv2dAdaptation,
  Dropout,
  embedding,
  embeddingAdaptation,
  type LayerAdaptation,
  linear,
  linearAdaptation,
  Module,
  mul,
  type Parameter,
  type Runtime,
  scale,
  type Tensor,
} from '../../src/index.js';

/** GPT-2's layer: the weight is stored [in, out]. */
export class Conv1D extends Module {
  static readonly adaptation = linearAdaptation<Conv1D>({ fanInFanOut: true });
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly nf: number;

  constructor(rt: Runtime, nf: number, nx: number) {
    super();
    this.nf = nf;
    this.weight = rt.parameter(rt.normal([nx, nf], 0.3).toArray(), [nx, nf]);
    this.bias = rt.parameter(rt.normal([nf], 0.3).toArray(), [nf]);
  }

  override forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias, { fanInFanOut: true });
  }
}

/** A product between other things: a second input, a factor, a module inside. */
export class Gated extends Module {
  static readonly adaptation: LayerAdaptation<Gated> = linearAdaptation<Gated>({
    forward: (layer, product, x, gate) => layer.around(product(layer.drop.forward(x)), gate),
  });
  readonly weight: Parameter;
  readonly drop: Dropout;
  factor = 2;

  constructor(rt: Runtime, out: number, width: number) {
    super();
    this.weight = rt.parameter(rt.normal([out, width], 0.3).toArray(), [out, width]);
    this.drop = new Dropout(rt, 0.5);
  }

  around(y: Tensor, gate: Tensor): Tensor {
    return mul(scale(y, this.training ? 1 : this.factor), gate);
  }

  override forward(x: Tensor, gate: Tensor): Tensor {
    return this.around(linear(this.drop.forward(x), this.weight), gate);
  }
}

export class GatedModel extends Module {
  readonly gated: Gated;
  constructor(rt: Runtime) {
    super();
    this.gated = new Gated(rt, 4, 5);
  }
  override forward(x: Tensor, gate: Tensor): Tensor {
    return this.gated.forward(x, gate);
  }
}

export class Table extends Module {
  static readonly adaptation = embeddingAdaptation<Table>({
    forward: (_layer, lookup, ids) => scale(lookup(ids), 3),
  });
  readonly weight: Parameter;
  constructor(rt: Runtime, rows: number, dim: number) {
    super();
    this.weight = rt.parameter(rt.normal([rows, dim], 0.3).toArray(), [rows, dim]);
  }
  override forward(ids: Tensor): Tensor {
    return scale(embedding(ids, this.weight), 3);
  }
}

export class Filter extends Module {
  static readonly adaptation = conv2dAdaptation<Filter>();
  readonly weight: Parameter;
  readonly padding = 1;
  readonly groups: number;
  constructor(rt: Runtime, out: number, width: number, groups = 1) {
    super();
    this.groups = groups;
    const shape = [out, width / groups, 3, 3];
    this.weight = rt.parameter(rt.normal(shape, 0.3).toArray(), shape);
  }
  override forward(x: Tensor): Tensor {
    const { padding, groups } = this;
    return conv2d(x, this.weight, null, { padding, groups });
  }
}

/** Layers whose classes compute something of their own around what the package's do, and do not say how they are adapted. */
import { Conv2d, Embedding, Linear, scale, type Tensor } from '../../src/index.js';

export class Doubled extends Linear {
  override forward(x: Tensor): Tensor {
    return scale(super.forward(x), 2);
  }
}

export class Halved extends Embedding {
  override forward(ids: Tensor): Tensor {
    return scale(super.forward(ids), 0.5);
  }
}

export class Negated extends Conv2d {
  override forward(x: Tensor): Tensor {
    return scale(super.forward(x), -1);
  }
}

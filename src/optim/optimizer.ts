/** SGD, Adam and AdamW with PyTorch's formulas and defaults; one kernel call for parameters that lie side by side. */
import { stepAdam, stepSgd } from '../engine/steps.js';
import { checkBoolean, checkNumber, checkOptions, describe } from '../values/checks.js';
import { Optimizer, type Trainables } from './base.js';

export type { Trainables };

const MAX = Number.MAX_VALUE;

/** What `SGD` takes, with PyTorch's names. */
export interface SGDOptions {
  /** Learning rate. Default 1e-3. */
  readonly lr?: number;
  /** Default 0. */
  readonly momentum?: number;
  /** Default 0. */
  readonly dampening?: number;
  /** Needs momentum above 0 and no dampening. Default false. */
  readonly nesterov?: boolean;
  /** Added to the gradient as weightDecay·p. Default 0. */
  readonly weightDecay?: number;
}

/** Stochastic gradient descent, as `torch.optim.SGD`. */
export class SGD extends Optimizer {
  readonly #options: Required<Omit<SGDOptions, 'lr' | 'weightDecay'>>;

  /** @throws TypeError, RangeError */
  constructor(parameters: Trainables, options: SGDOptions = {}) {
    checkOptions('SGD', options, ['lr', 'momentum', 'dampening', 'nesterov', 'weightDecay']);
    const { lr = 1e-3, momentum = 0, dampening = 0, nesterov = false, weightDecay = 0 } = options;
    checkNumber('SGD: momentum', momentum, 0, MAX);
    checkNumber('SGD: dampening', dampening, -MAX, MAX);
    checkBoolean('SGD: nesterov', nesterov);
    if (nesterov && (momentum === 0 || dampening !== 0)) {
      throw new RangeError(
        `SGD: nesterov with momentum ${momentum} and dampening ${dampening}, expected momentum above 0 and dampening 0`,
      );
    }
    super('SGD', parameters, { lr, weightDecay }, momentum === 0 ? [] : ['momentum_buffer']);
    this.#options = { momentum, dampening, nesterov };
  }

  protected override get options(): Readonly<Record<string, unknown>> {
    return this.#options;
  }

  override step(): void {
    const { momentum, dampening, nesterov } = this.#options;
    this.forEachRun((run, { lr, weightDecay }, kernels) =>
      stepSgd(kernels, run, { momentum, dampening, nesterov, lr, weightDecay }),
    );
  }
}

/** What `Adam` and `AdamW` take, with PyTorch's names. */
export interface AdamOptions {
  /** Learning rate. Default 1e-3. */
  readonly lr?: number;
  /** Decay of the first and second moment. Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Default 1e-8. */
  readonly eps?: number;
  /** Adam: added to the gradient, default 0. AdamW: taken off the parameter, default 0.01. */
  readonly weightDecay?: number;
}

abstract class AdamBase extends Optimizer {
  readonly #decoupled: boolean;
  readonly #options: Required<Omit<AdamOptions, 'lr' | 'weightDecay'>>;

  protected constructor(name: string, parameters: Trainables, options: AdamOptions, decoupled: boolean) {
    checkOptions(name, options, ['lr', 'betas', 'eps', 'weightDecay']);
    const { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = decoupled ? 0.01 : 0 } = options;
    if (!Array.isArray(betas) || betas.length !== 2)
      throw new TypeError(`${name}: betas is ${describe(betas)}, expected two numbers`);
    for (const [i, beta] of betas.entries()) {
      checkNumber(`${name}: betas[${i}]`, beta, 0, 1);
      if (beta === 1) throw new RangeError(`${name}: betas[${i}] is 1, expected a number below 1`);
    }
    checkNumber(`${name}: eps`, eps, 0, MAX);
    super(name, parameters, { lr, weightDecay }, ['exp_avg', 'exp_avg_sq']);
    this.#decoupled = decoupled;
    this.#options = { betas, eps };
  }

  protected override get options(): Readonly<Record<string, unknown>> {
    return this.#options;
  }

  override step(): void {
    const { betas, eps } = this.#options;
    const decoupled = this.#decoupled;
    this.forEachRun((run, { lr, weightDecay }, kernels) =>
      stepAdam(kernels, run, { betas, eps, decoupled, lr, weightDecay }),
    );
  }
}

/** Adam (Kingma and Ba, arXiv 1412.6980) as `torch.optim.Adam`: weight decay is added to the gradient. */
export class Adam extends AdamBase {
  /** @throws TypeError, RangeError */
  constructor(parameters: Trainables, options: AdamOptions = {}) {
    super('Adam', parameters, options, false);
  }
}

/** AdamW (Loshchilov and Hutter, arXiv 1711.05101) as `torch.optim.AdamW`: weight decay is taken off the parameter. */
export class AdamW extends AdamBase {
  /** @throws TypeError, RangeError */
  constructor(parameters: Trainables, options: AdamOptions = {}) {
    super('AdamW', parameters, options, true);
  }
}

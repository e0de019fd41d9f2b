/**
 * Optimisers' kernels as the optimisers call them: a run of parameters that lie side by side and its settings as records, laid
 * out here as the kernels' bare numbers. Called by `optim`.
 */
import type { Kernels } from './abi.js';

/** Parameters that lie side by side: addresses of as many values, gradients, and numbers of each state. */
export interface Stepped {
  readonly size: number;
  readonly values: number;
  readonly gradients: number;
  readonly state: readonly number[];
  /** Which step this is, from 1. */
  readonly step: number;
}

interface Settings {
  readonly lr: number;
  readonly weightDecay: number;
}

export interface SgdSettings extends Settings {
  readonly momentum: number;
  readonly dampening: number;
  readonly nesterov: boolean;
}

/** PyTorch's SGD; its state is the momentum's buffer, none where the momentum is 0. */
export function stepSgd(k: Kernels, run: Stepped, settings: SgdSettings): void {
  const { size, values: p, gradients: g, state, step } = run;
  const { lr, weightDecay: decay, momentum, dampening } = settings;
  const [nesterov, first] = [settings.nesterov ? 1 : 0, step === 1 ? 1 : 0];
  k.sgdStep(size, p, g, state[0] ?? 0, lr, momentum, dampening, nesterov, decay, first);
}

export interface AdamSettings extends Settings {
  readonly betas: readonly [number, number];
  readonly eps: number;
  /** Whether the decay is of the values (AdamW) and not added to the gradient. */
  readonly decoupled: boolean;
}

/** PyTorch's Adam and AdamW; its state is the first and second moments. */
export function stepAdam(k: Kernels, run: Stepped, settings: AdamSettings): void {
  const { size, values: p, gradients: g, state, step } = run;
  const [m, v] = state as [number, number];
  const { lr, weightDecay: decay, betas, eps } = settings;
  const [beta1, beta2] = betas;
  const stepSize = lr / (1 - beta1 ** step);
  const root = Math.sqrt(1 - beta2 ** step);
  const decoupled = settings.decoupled ? 1 : 0;
  k.adamStep(size, p, g, m, v, lr, beta1, beta2, eps, decay, decoupled, stepSize, root);
}

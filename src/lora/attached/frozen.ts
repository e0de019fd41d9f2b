/** A frozen model's parameters, and whether each was trained before. */
import type { Module } from '../../nn/module.js';
import type { Parameter } from '../../tensor/parameter.js';

export class FrozenParameters {
  readonly #trained = new Map<Parameter, boolean>();

  constructor(parameters: readonly Parameter[]) {
    for (const parameter of parameters) {
      this.#trained.set(parameter, parameter.requiresGrad);
      parameter.requiresGrad = false;
    }
  }

  /** Another parameter stands in the place of one from now on. */
  replaced(one: Parameter, other: Parameter): void {
    this.#trained.set(other, this.#trained.get(one) ?? true);
  }

  /** Unfreezes what was trained, and what the model has got since. */
  thaw(model: Module): void {
    for (const parameter of model.parameters()) parameter.requiresGrad = parameter.dtype === 'f32';
    for (const [parameter, requiresGrad] of this.#trained) parameter.requiresGrad = requiresGrad;
  }
}

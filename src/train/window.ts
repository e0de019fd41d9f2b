/**
 * The batches of one optimiser step: their gradients gather, weighed by what each batch counts, and are divided by the total.
 * Called by `step.ts`.
 */
import { scaleGradients } from '../optim/clip.js';
import { allFinite } from '../tensor/finite.js';
import type { Parameter } from '../tensor/parameter.js';
import { TrainingError } from './errors.js';
import type { CheckedLoss } from './loss.js';

/** Parameters by their names. */
export type Named = readonly (readonly [string, Parameter])[];

export class GradientWindow {
  readonly #named: Named;
  /** What errors begin with, and the step that they name. */
  readonly #where: string;
  readonly #step: number;
  /** Whether it is to hold one batch only: nothing is weighed then, and the gradients are those of a plain loop. */
  readonly #single: boolean;
  #total = 0;
  #sum = 0;
  /** The mean as it was given, where one batch gave it. */
  #mean: number | null = null;
  #weighed = false;

  constructor(where: string, step: number, named: Named, single: boolean) {
    this.#where = `${where}: step ${step}`;
    this.#step = step;
    this.#named = named;
    this.#single = single;
  }

  /** What counted so far. */
  get total(): number {
    return this.#total;
  }

  /** The mean loss over all that counted; 0 where nothing did. */
  get loss(): number {
    if (this.#mean !== null) return this.#mean;
    return this.#total === 0 ? 0 : this.#sum / this.#total;
  }

  /** Adds a batch's gradients; one that counts nothing adds none, whatever its loss is. @throws TrainingError */
  add({ tensor, count, isSum }: CheckedLoss): void {
    if (count === 0) return;
    const value = tensor.item();
    if (!Number.isFinite(value)) throw this.#notFinite(`the loss is ${value}`);
    if (!tensor.requiresGrad)
      throw new TrainingError(
        `${this.#where}: the loss does not depend on any parameter that trains, expected one computed by the model (numbers, detach() or rt.noGrad cut it off)`,
        this.#step,
      );
    this.#total += count;
    if (this.#single) {
      if (isSum) this.#sum = value;
      else this.#mean = value;
      this.#weighed = isSum && count !== 1;
      tensor.backward();
      return;
    }
    this.#sum += isSum ? value : value * count;
    this.#weighed = true;
    if (isSum) tensor.backward();
    else tensor.backward(tensor.runtime.full(tensor.shape, count));
  }

  /** Makes the gradients those of the mean over all that counted. */
  divide(): void {
    if (!this.#weighed || this.#total === 1) return;
    scaleGradients(
      this.#named.map(([, parameter]) => parameter),
      1 / this.#total,
    );
  }

  /** @throws TrainingError where the gradients' norm is not finite, naming the first tensor that is at fault */
  checkNorm(norm: number): void {
    if (!Number.isFinite(norm)) throw this.#notFinite(`the gradients' norm is ${norm}`);
  }

  #notFinite(what: string): TrainingError {
    const found = firstNotFinite(this.#named);
    const more = found === null ? '' : `; ${found}`;
    return new TrainingError(
      `${this.#where}: ${what}, expected a finite number${more} (a lower learning rate or clipNorm may help)`,
      this.#step,
    );
  }
}

/** The first parameter, or gradient of one, that holds NaN or infinity, in words; null for none. */
export function firstNotFinite(named: Named): string | null {
  for (const [name, parameter] of named) {
    if (!allFinite(parameter)) return `parameter '${name}' ${placeOf(parameter.toArray())}`;
    const { grad } = parameter;
    if (grad !== null && !allFinite(grad)) return `the gradient of '${name}' ${placeOf(grad.toArray())}`;
  }
  return null;
}

function placeOf(values: ArrayLike<number>): string {
  const at = Array.from(values).findIndex((value) => !Number.isFinite(value));
  return `has ${values[at]} at element ${at}`;
}

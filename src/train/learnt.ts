/**
 * Whether a first step has changed anything that trains: a run that learns nothing for hours is the one fault that no loss
 * curve shows. Called by `step.ts`.
 */
import type { Module } from '../nn/module.js';
import type { StateDict } from '../nn/state-dict.js';
import type { Optimizer } from '../optim/base.js';
import type { Parameter } from '../tensor/parameter.js';
import { TrainingError } from './errors.js';
import type { Named } from './window.js';

/** The parameters and the optimiser as they were before a step, and what the gradients were. */
export class FirstStep {
  readonly #named: Named;
  readonly #optimizer: Optimizer;
  readonly #model: Module;
  readonly #held: ReadonlySet<Parameter>;
  readonly #bytes: readonly Uint8Array[];
  readonly #state: StateDict;
  readonly #cause: string;
  /** Whether there is a gradient to move by: what weight decay moves alone learns nothing. */
  #moves = false;

  /** Called with the gradients of the step in place. */
  constructor(model: Module, named: Named, optimizer: Optimizer) {
    this.#model = model;
    this.#named = named;
    this.#optimizer = optimizer;
    this.#held = new Set(optimizer.settings.groups.flatMap(({ parameters }) => parameters));
    this.#bytes = named.map(([, parameter]) => parameter.bytes());
    this.#state = optimizer.exportState(model);
    this.#cause = this.#causeOfNothing();
  }

  /** @throws TrainingError where nothing is learnt, naming the cause; parameters and optimiser are as before then */
  check(where: string, step: number): void {
    const changed = this.#named.some(([, parameter], i) => differ(parameter.bytes(), this.#bytes[i]!));
    if (changed && this.#moves) return;
    for (const [i, [, parameter]] of this.#named.entries()) parameter.writeBytes(this.#bytes[i]!);
    this.#optimizer.importState(this.#model, this.#state);
    throw new TrainingError(
      `${where}: step ${step}: nothing is learnt, expected a parameter that changes: ${this.#cause}`,
      step,
    );
  }

  /** Why nothing may change by the gradients of now. */
  #causeOfNothing(): string {
    const withGradient = this.#named.filter(([, { grad }]) => grad !== null);
    if (withGradient.length === 0)
      return 'the loss does not reach any of them (another model, or detach() on the way)';
    const held = withGradient.filter(([, parameter]) => this.#held.has(parameter));
    if (held.length === 0)
      return `gradients reach ${namesOf(withGradient)}, which the optimizer does not have`;
    const moving = held.filter(([, { grad }]) => grad!.toArray().some((value) => value !== 0));
    if (moving.length === 0) return `every gradient is 0 (of ${namesOf(held)})`;
    this.#moves = true;
    return `the steps are too small for float32 at the learning rates ${this.#optimizer.lrs.join(', ')}`;
  }
}

function namesOf(named: Named): string {
  const shown = named.slice(0, 3).map(([name]) => `'${name}'`);
  return `${shown.join(', ')}${named.length > 3 ? ` and ${named.length - 3} more` : ''}`;
}

function differ(a: Uint8Array, b: Uint8Array): boolean {
  return a.some((byte, i) => byte !== b[i]);
}

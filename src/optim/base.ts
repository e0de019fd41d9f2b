/** What the optimisers share: groups with their rates and moments, and when the moments are given back. */
import type { Kernels } from '../engine/abi.js';
import type { NamedArray, StateDict } from '../nn/state-dict.js';
import type { Parameter, ParameterGroup } from '../tensor/parameter.js';
import type { Runtime } from '../tensor/runtime.js';
import type { Storage } from '../tensor/storage.js';
import { checkNumber } from '../values/checks.js';
import { DISPOSE } from '../values/dispose.js';
import { checkGroups, type ResolvedGroup } from './groups.js';
import {
  exportStates,
  importStates,
  type NamedParameters,
  type NamedStates,
  namedStates,
} from './named-state.js';
import { Rates } from './rates.js';
import { ParameterState, type Run } from './state.js';

const MAX = Number.MAX_VALUE;

/** What an optimiser takes: parameters, or groups of them with settings of their own. */
export type Trainables = readonly Parameter[] | readonly ParameterGroup[];

/** Releases the moments of an optimiser that was dropped without dispose(). */
const forgotten = new FinalizationRegistry<readonly Storage[]>(releaseAll);

function releaseAll(storages: readonly Storage[]): void {
  for (const storage of storages) storage.release();
}

/** What a run of neighbouring parameters is stepped with. */
interface StepSettings {
  readonly lr: number;
  readonly weightDecay: number;
}

interface Group {
  readonly parameters: readonly Parameter[];
  readonly weightDecay: number;
  readonly state: ParameterState;
}

/** @internal What the numbers of an optimiser's steps depend on. */
export interface OptimizerSettings {
  readonly kind: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly groups: readonly {
    readonly parameters: readonly Parameter[];
    readonly lr: number;
    readonly weightDecay: number;
  }[];
}

/** What `SGD`, `Adam` and `AdamW` have in common; the Trainer takes any of them. */
export abstract class Optimizer {
  readonly #name: string;
  readonly #momentNames: readonly string[];
  readonly #groups: readonly Group[];
  readonly #rates: Rates;
  /** The moments; null once they were given back. */
  #moments: readonly Storage[] | null;

  /** @param moments - what each state array is called in `exportState`, in PyTorch's words */
  protected constructor(
    name: string,
    given: Trainables,
    { lr, weightDecay }: StepSettings,
    moments: readonly string[],
  ) {
    checkNumber(`${name}: lr`, lr, 0, MAX);
    checkNumber(`${name}: weightDecay`, weightDecay, 0, MAX);
    const groups = checkGroups(name, given, { lr, weightDecay });
    const { runtime } = groups.find(({ parameters }) => parameters.length > 0)!.parameters[0]!;
    this.#name = name;
    this.#momentNames = moments;
    this.#rates = new Rates(groups.map((group) => group.lr));
    this.#groups = makeStates(runtime, groups, moments.length);
    this.#moments = this.#groups.flatMap(({ state }) => state.storages);
    forgotten.register(this, this.#moments, this);
  }

  /**
   * Learning rate of the first group that did not begin at 0 (0 where all did). Setting it between steps gives every group
   * the same multiple of the rate that it began with, also after a rate of 0; groups that began at 0 stay there.
   * @throws TypeError, RangeError
   */
  get lr(): number {
    return this.#rates.leading;
  }

  set lr(value: number) {
    this.#rates.set(`${this.#name}.lr`, value);
  }

  /** Learning rate of every group, in the order of the groups. */
  get lrs(): number[] {
    return this.#rates.all;
  }

  /**
   * Gives every group `factor` times the learning rate that it began with, whatever was set before: what a schedule gives.
   * @param factor - a finite number from 0 up; 1 is the start
   * @throws TypeError, RangeError
   * @example
   * optimizer.scaleLr(Math.min(1, (step + 1) / warmupSteps));
   */
  scaleLr(factor: number): void {
    this.#rates.scale(`${this.#name}.scaleLr`, factor);
  }

  /** @internal What its steps depend on: kind, options, and what each group began with. */
  get settings(): OptimizerSettings {
    const groups = this.#groups.map(({ parameters, weightDecay }, i) => ({
      ...{ parameters, weightDecay },
      lr: this.#rates.initial[i]!,
    }));
    return { kind: this.#name, options: this.options, groups };
  }

  /** @internal Puts back what `lrs` gave. @throws TypeError, RangeError */
  restoreRates(where: string, rates: unknown): void {
    this.#rates.restore(where, rates);
  }

  /** @internal What is the same for all groups. */
  protected abstract get options(): Readonly<Record<string, unknown>>;

  /**
   * Moves every parameter that has a gradient and is not frozen.
   * @throws Error after dispose, over a parameter that is disposed of, and where every parameter is frozen; nothing has moved then
   */
  abstract step(): void;

  /** @internal Counts a step and moves every run of neighbouring parameters with its group's settings. */
  protected forEachRun(move: (run: Run, settings: StepSettings, kernels: Kernels) => void): void {
    const where = `${this.#name}.step`;
    if (this.#moments === null) throw new Error(`${where}: used after dispose()`);
    const trained = this.#groups.reduce((count, { state }) => count + state.checkLive(where), 0);
    if (trained === 0)
      throw new Error(`${where}: every parameter is frozen, expected at least one that requires a gradient`);
    for (const [i, { state, weightDecay }] of this.#groups.entries()) {
      const settings = { lr: this.#rates.of(i), weightDecay };
      for (const run of state.runs()) move(run, settings, state.runtime.engine.kernels);
    }
  }

  /** Forgets the gradients, as PyTorch's `zero_grad`: they are null until the next backward. */
  zeroGrad(): void {
    for (const { state } of this.#groups) state.zeroGrad();
  }

  /**
   * Copies of the moments, and of the steps that each parameter has had, by the parameters' names: what a checkpoint needs of an
   * optimiser beside its options, and `writeSafetensors` takes. The learning rates are not in it.
   * @param model - the module that the parameters belong to, or their names: pairs, as `namedParameters()` gives them
   * @returns under `<name>.exp_avg` and `<name>.exp_avg_sq` (Adam, AdamW) or `<name>.momentum_buffer` (SGD with momentum) float32 of
   * the parameter's shape, under `<name>.step` int32 of shape []
   * @throws TypeError; RangeError for a parameter of the optimiser that has no name there; Error after dispose
   */
  exportState(model: NamedParameters): StateDict {
    const where = `${this.#name}.exportState`;
    return exportStates(this.#named(where, model));
  }

  /**
   * Overwrites moments and steps by what `exportState` gave, for this optimiser or another of the same kind over parameters of the same names.
   * Everything is checked before anything is changed.
   * @param model - as for `exportState`
   * @param state - arrays by name: all of this optimiser's, and no other
   * @throws TypeError, RangeError; Error after dispose
   */
  importState(
    model: NamedParameters,
    state: ReadonlyMap<string, NamedArray> | Readonly<Record<string, NamedArray>>,
  ): void {
    const where = `${this.#name}.importState`;
    importStates(this.#named(where, model), state);
  }

  /** Where each parameter's state lies, by its name. @throws TypeError, RangeError; Error after dispose */
  #named(where: string, model: NamedParameters): NamedStates {
    if (this.#moments === null) throw new Error(`${where}: used after dispose()`);
    const states = this.#groups.map(({ state }) => state);
    for (const state of states) state.checkLive(where);
    return namedStates(where, { states, moments: this.#momentNames }, model);
  }

  /** Gives the memory of the moments back; the parameters stay. An optimiser that is dropped gives it back some time later. */
  dispose(): void {
    if (this.#moments === null) return;
    forgotten.unregister(this);
    releaseAll(this.#moments);
    this.#moments = null;
  }

  /** The same as `dispose`, for `using`. */
  [DISPOSE](): void {
    this.dispose();
  }
}

/** @throws OutOfMemoryError; nothing is held then */
function makeStates(runtime: Runtime, groups: readonly ResolvedGroup[], arrays: number): Group[] {
  const made: Group[] = [];
  try {
    for (const { parameters, weightDecay } of groups)
      made.push({ parameters, weightDecay, state: new ParameterState(runtime, parameters, arrays) });
  } catch (error) {
    for (const { state } of made) releaseAll(state.storages);
    throw error;
  }
  return made;
}

/**
 * What the optimisers share: the parameters, their state, and runs of neighbouring parameters that one kernel call can
 * step, because values, gradients and state lie side by side in the same order.
 */
import { checkNumber, checkOptions, describe } from '../runtime/errors.js';
import { Parameter, type ParameterGroup } from '../tensor/parameter.js';
import type { Runtime } from '../tensor/runtime.js';
import { Storage } from '../tensor/storage.js';

/** A run of neighbouring parameters: addresses and number of elements. */
export interface Run {
  readonly size: number;
  readonly values: number;
  readonly gradients: number;
  /** Address of the run in each state array. */
  readonly state: readonly number[];
  /** Which steps this run has had, this one included. */
  readonly step: number;
}

/** A group whose settings are complete. */
export interface ResolvedGroup {
  readonly parameters: readonly Parameter[];
  lr: number;
  readonly weightDecay: number;
}

/** Parameters, or groups of them, as groups. Groups may be empty, all together may not. @throws TypeError, RangeError */
export function checkGroups(
  where: string,
  given: unknown,
  defaults: { readonly lr: number; readonly weightDecay: number },
): ResolvedGroup[] {
  if (!Array.isArray(given))
    throw new TypeError(
      `${where}: parameters is ${describe(given)}, expected an array of Parameters or groups`,
    );
  const groups = given.some((entry: unknown) => isGroup(entry))
    ? given
    : [{ parameters: given as unknown[] }];
  const resolved = groups.map((group: unknown, i): ResolvedGroup => {
    const at = `${where}: group ${i}`;
    if (!isGroup(group))
      throw new TypeError(`${at} is ${describe(group)}, expected { parameters, lr, weightDecay }`);
    checkOptions(at, group, ['parameters', 'lr', 'weightDecay']);
    return {
      parameters: group.parameters,
      lr: checkNumber(`${at}: lr`, group.lr ?? defaults.lr, 0, Number.MAX_VALUE),
      weightDecay: checkNumber(
        `${at}: weightDecay`,
        group.weightDecay ?? defaults.weightDecay,
        0,
        Number.MAX_VALUE,
      ),
    };
  });
  checkParameters(
    where,
    resolved.flatMap(({ parameters }) => parameters),
  );
  return resolved.filter(({ parameters }) => parameters.length > 0);
}

function isGroup(value: unknown): value is ParameterGroup {
  return (
    value !== null && typeof value === 'object' && 'parameters' in value && Array.isArray(value.parameters)
  );
}

/** @throws TypeError, RangeError unless `parameters` is a list of live, distinct parameters of one runtime, one at least */
export function checkParameters(where: string, parameters: unknown): Parameter[] {
  if (!Array.isArray(parameters))
    throw new TypeError(`${where}: parameters is ${describe(parameters)}, expected an array of Parameters`);
  if (parameters.length === 0)
    throw new RangeError(`${where}: parameters is [], expected at least one trainable Parameter`);
  for (const [i, parameter] of parameters.entries()) {
    if (!(parameter instanceof Parameter))
      throw new TypeError(`${where}: parameter ${i} is ${describe(parameter)}, expected a Parameter`);
    if (parameter.disposed) throw new Error(`${where}: parameter ${i} was used after dispose()`);
    if (parameter.runtime !== (parameters[0] as Parameter).runtime) {
      throw new TypeError(
        `${where}: parameter ${i} belongs to another runtime than the first, expected one runtime`,
      );
    }
  }
  if (new Set(parameters).size !== parameters.length)
    throw new RangeError(`${where}: a parameter appears twice, expected each once`);
  return parameters as Parameter[];
}

/** Parameters and `arrays` state arrays of float32 for them, zero at first. */
export class ParameterState {
  readonly parameters: readonly Parameter[];
  readonly runtime: Runtime;
  readonly #state: Storage[] = [];
  readonly #offsets = new Map<Parameter, number>();
  readonly #steps = new Map<Parameter, number>();

  constructor(parameters: readonly Parameter[], arrays: number) {
    // By address, so that neighbours follow each other.
    this.parameters = [...parameters].sort((a, b) => a.pointer - b.pointer);
    this.runtime = this.parameters[0]!.runtime;
    let bytes = 0;
    for (const parameter of this.parameters) {
      this.#offsets.set(parameter, bytes);
      bytes += Math.ceil(parameter.size / 4) * 16;
    }
    for (let i = 0; i < arrays; i++) {
      const storage = new Storage(this.runtime.engine, bytes);
      this.runtime.engine.kernels.fill(bytes / 4, 0, storage.pointer);
      this.#state.push(storage);
    }
  }

  /** Counts a step for every parameter that has a gradient and gives the runs to step. */
  *runs(): Iterable<Run> {
    if (this.#state.some((storage) => !storage.alive))
      throw new Error('Optimizer.step: used after dispose()');
    let first: Parameter | null = null;
    let last: Parameter | null = null;
    for (const parameter of this.parameters) {
      if (parameter.grad === null || !parameter.requiresGrad) continue;
      this.#steps.set(parameter, (this.#steps.get(parameter) ?? 0) + 1);
      parameter.storage.version++;
      if (first !== null && last !== null && this.#follows(last, parameter)) {
        last = parameter;
        continue;
      }
      if (first !== null && last !== null) yield this.#run(first, last);
      first = parameter;
      last = parameter;
    }
    if (first !== null && last !== null) yield this.#run(first, last);
  }

  /** Forgets the gradients: the next backward writes them anew. */
  zeroGrad(): void {
    for (const parameter of this.parameters) {
      parameter.grad?.dispose();
      parameter.grad = null;
    }
  }

  dispose(): void {
    for (const storage of this.#state) if (storage.alive) storage.release();
  }

  /** True where `next` lies right behind `last` in values, gradients and state alike, with nothing but padding between. */
  #follows(last: Parameter, next: Parameter): boolean {
    const step = Math.ceil(last.size / 4) * 16;
    return (
      last.block === next.block &&
      next.pointer - last.pointer === step &&
      next.grad!.pointer - last.grad!.pointer === step &&
      this.#offsets.get(next)! - this.#offsets.get(last)! === step &&
      this.#steps.get(last) === this.#steps.get(next)
    );
  }

  #run(first: Parameter, last: Parameter): Run {
    const offset = this.#offsets.get(first)!;
    return {
      size: (last.pointer - first.pointer) / 4 + last.size,
      values: first.pointer,
      gradients: first.grad!.pointer,
      state: this.#state.map((storage) => storage.pointer + offset),
      step: this.#steps.get(first)!,
    };
  }
}

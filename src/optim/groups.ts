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

/** A parameter and its place in the state. */
interface Slot {
  readonly parameter: Parameter;
  /** Bytes from the start of each state array. */
  readonly offset: number;
  /** Steps that it has had. */
  steps: number;
}

/** Parameters and `arrays` state arrays of float32 for them, zero at first. */
export class ParameterState {
  readonly runtime: Runtime;
  readonly #slots: readonly Slot[];
  readonly #state: Storage[] = [];

  constructor(parameters: readonly Parameter[], arrays: number) {
    this.runtime = parameters[0]!.runtime;
    let bytes = 0;
    // By address, so that neighbours follow each other.
    const sorted = [...parameters].sort((a, b) => a.pointer - b.pointer);
    this.#slots = sorted.map((parameter) => {
      const offset = bytes;
      bytes += Math.ceil(parameter.size / 4) * 16;
      return { parameter, offset, steps: 0 };
    });
    for (let i = 0; i < arrays; i++) {
      const storage = new Storage(this.runtime.engine, bytes);
      this.runtime.engine.kernels.fill(bytes / 4, 0, storage.pointer);
      this.#state.push(storage);
    }
  }

  /** Counts a step for every parameter that has a gradient and gives the runs to step. */
  runs(): Run[] {
    if (this.#state.some((storage) => !storage.alive))
      throw new Error('Optimizer.step: used after dispose()');
    const runs: Run[] = [];
    let first: Slot | null = null;
    let last: Slot | null = null;
    for (const slot of this.#slots) {
      const { parameter } = slot;
      if (parameter.grad === null || !parameter.requiresGrad) continue;
      slot.steps++;
      parameter.storage.version++;
      if (first === null || last === null || !follows(last, slot)) {
        if (first !== null && last !== null) runs.push(this.#run(first, last));
        first = slot;
      }
      last = slot;
    }
    if (first !== null && last !== null) runs.push(this.#run(first, last));
    return runs;
  }

  /** Forgets the gradients: the next backward writes them anew. */
  zeroGrad(): void {
    for (const { parameter } of this.#slots) {
      parameter.grad?.dispose();
      parameter.grad = null;
    }
  }

  dispose(): void {
    for (const storage of this.#state) if (storage.alive) storage.release();
  }

  #run(first: Slot, last: Slot): Run {
    const { pointer, grad } = first.parameter;
    return {
      size: (last.parameter.pointer - pointer) / 4 + last.parameter.size,
      values: pointer,
      gradients: grad!.pointer,
      state: this.#state.map((storage) => storage.pointer + first.offset),
      step: first.steps,
    };
  }
}

/** True where `next` lies right behind `last` in values, gradients and state alike, with nothing but padding between. */
function follows(last: Slot, next: Slot): boolean {
  const [a, b] = [last.parameter, next.parameter];
  const step = Math.ceil(a.size / 4) * 16;
  return (
    a.block === b.block &&
    b.pointer - a.pointer === step &&
    b.grad!.pointer - a.grad!.pointer === step &&
    next.offset - last.offset === step &&
    last.steps === next.steps
  );
}

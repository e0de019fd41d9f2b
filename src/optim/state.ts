/**
 * What an optimiser keeps beside its parameters, and runs of neighbouring parameters that one kernel call can step, because
 * values, gradients and state lie side by side in the same order. Called by `base.ts`.
 */
import type { Parameter } from '../tensor/parameter.js';
import type { Runtime } from '../tensor/runtime.js';
import { Storage } from '../tensor/storage.js';
import { showShape } from '../values/shape.js';

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

/** A parameter and its place in the state. */
export interface Slot {
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
  readonly #state: readonly Storage[];

  /** @throws OutOfMemoryError; nothing is held then */
  constructor(runtime: Runtime, parameters: readonly Parameter[], arrays: number) {
    this.runtime = runtime;
    let bytes = 0;
    // By address, so that neighbours follow each other.
    const sorted = [...parameters].sort((a, b) => a.pointer - b.pointer);
    this.#slots = sorted.map((parameter) => {
      const offset = bytes;
      bytes += Math.ceil(parameter.size / 4) * 16;
      return { parameter, offset, steps: 0 };
    });
    this.#state = zeroStorages(runtime, bytes === 0 ? 0 : arrays, bytes);
  }

  /** The state arrays, for who releases them. */
  get storages(): readonly Storage[] {
    return this.#state;
  }

  /** The parameters with the steps that each has had. */
  get slots(): readonly Slot[] {
    return this.#slots;
  }

  /** Addresses of a parameter's part of each state array, of the parameter's size. */
  pointersOf({ offset }: Slot): number[] {
    return this.#state.map(({ pointer }) => pointer + offset);
  }

  /** How many parameters could be stepped. @throws Error for a parameter that is gone */
  checkLive(where: string): number {
    for (const { parameter } of this.#slots)
      if (parameter.disposed)
        throw new Error(
          `${where}: a parameter ${showShape(parameter.shape)} was disposed of, expected live ones; make a new optimizer without it`,
        );
    return this.#slots.filter(({ parameter }) => parameter.requiresGrad).length;
  }

  /** Counts a step for every parameter that has a gradient and gives the runs to step. */
  runs(): Run[] {
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

/** Storages of zeros. @throws OutOfMemoryError; none is held then */
function zeroStorages({ engine }: Runtime, count: number, bytes: number): Storage[] {
  const made: Storage[] = [];
  try {
    for (let i = 0; i < count; i++) {
      const storage = new Storage(engine, bytes);
      made.push(storage);
      engine.kernels.fill(bytes / 4, 0, storage.pointer);
    }
  } catch (error) {
    for (const storage of made) storage.release();
    throw error;
  }
  return made;
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

/**
 * What runs now in a runtime: the scope that its tensors go to, whether operations are recorded, and how to take back what a
 * failing call did. A Runtime has one; its methods say what each of these is for.
 */
import type { Engine } from '../engine/engine.js';
import { describe } from '../values/checks.js';
import type { RandomPlaces } from './random-watch.js';
import { collect, Scope, type Scoped } from './scope.js';
import { Tensor } from './tensor.js';

export class RunState {
  readonly #engine: Engine;
  #scope: Scope | null = null;
  /** Whether operations are recorded now. */
  gradEnabled = true;
  /** How to take back what the running attempt did besides making tensors; null outside of one. */
  #undo: (() => void)[] | null = null;
  /** Who wants to know of random counters that move. */
  readonly watches: RandomPlaces[] = [];
  /** The call that takes the rows of a batch apart now: layers whose rows differ refuse. */
  apart: string | null = null;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** @see Runtime.scope */
  scope<T>(fn: () => T): T {
    checkFunction('Runtime.scope', fn);
    const scope = new Scope(this.#scope);
    this.#scope = scope;
    const escaping: Scoped[] = [];
    try {
      const result = fn();
      refusePromise('Runtime.scope', result);
      if (typeof result === 'object')
        collect(result, (value) => (value instanceof Tensor ? value : null), escaping);
      return result;
    } finally {
      this.#scope = scope.parent;
      scope.end(escaping);
    }
  }

  /** @see Runtime.noGrad */
  noGrad<T>(fn: () => T): T {
    checkFunction('Runtime.noGrad', fn);
    return this.recording(false, () => {
      const result = fn();
      refusePromise('Runtime.noGrad', result);
      return result;
    });
  }

  /** Runs `fn` with recording on or off. */
  recording<T>(on: boolean, fn: () => T): T {
    const before = this.gradEnabled;
    this.gradEnabled = on;
    try {
      return fn();
    } finally {
      this.gradEnabled = before;
    }
  }

  /** @see Runtime.attempt */
  attempt<T>(fn: () => T): T {
    const outer = this.#scope;
    const outerUndo = this.#undo;
    const scope = outer ?? new Scope(null);
    const undo = outerUndo ?? [];
    const mark = scope.size;
    const undone = undo.length;
    const { draws } = this.#engine;
    this.#scope = scope;
    this.#undo = undo;
    try {
      const result = fn();
      this.#scope = outer;
      if (outer === null) scope.dissolve();
      else scope.settle(mark);
      return result;
    } catch (error) {
      for (const back of undo.splice(undone).reverse()) back();
      this.#engine.draws = draws;
      this.#scope = outer;
      scope.undo(mark);
      throw error;
    } finally {
      this.#undo = outerUndo;
    }
  }

  /** An attempt to make layers or adapters: when it throws, their places in the generator's counter are free again too. */
  construct<T>(fn: () => T): T {
    const { layers } = this.#engine;
    try {
      return this.attempt(fn);
    } catch (error) {
      this.#engine.layers = layers;
      throw error;
    }
  }

  /** Called at a failure of what runs now: takes back a change that is not a tensor. */
  ifFails(back: () => void): void {
    this.#undo?.push(back);
  }

  /** Puts something into the current scope. */
  adopt<T extends Scoped>(item: T): T {
    if (this.#scope === null) item.leftAlone();
    else this.#scope.add(item);
    return item;
  }
}

/** @throws TypeError */
function checkFunction(where: string, fn: unknown): void {
  if (typeof fn !== 'function') throw new TypeError(`${where}: got ${describe(fn)}, expected a function`);
}

/** @throws TypeError for a promise, whose function would go on when everything around it has ended */
export function refusePromise(where: string, result: unknown): void {
  if (
    result !== null &&
    typeof result === 'object' &&
    'then' in result &&
    typeof result.then === 'function'
  ) {
    throw new TypeError(`${where}: the function returned a promise, expected a synchronous function`);
  }
}

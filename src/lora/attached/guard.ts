/** What may be called now: nothing once the model was given back, and nothing that changes adapters inside a user's function. */
import { refusePromise } from '../../tensor/run-state.js';
import { describe } from '../../values/checks.js';
import { AdapterError } from '../errors.js';

/** The calls that run a user's function. */
type Around = 'withAdaptersDisabled' | 'withAdapterNames';

export class CallGuard {
  #attached = true;
  /** The call that runs a user's function now; null outside of any. */
  #inside: Around | null = null;

  /** @throws AdapterError once the model was given back */
  checkAttached(where: string): void {
    if (!this.#attached)
      throw new AdapterError(`${where}: the model was unloaded, expected an attached LoraModel`);
  }

  /** @throws AdapterError inside `withAdaptersDisabled` and `withAdapterNames` */
  checkEnabled(where: string): void {
    if (this.#inside !== null)
      throw new AdapterError(`${where}: called inside ${this.#inside}, expected a call outside of it`);
  }

  /** Both. @throws AdapterError */
  checkFree(where: string): void {
    this.checkAttached(where);
    this.checkEnabled(where);
  }

  /** The model is given back. */
  release(): void {
    this.#attached = false;
  }

  /** Runs a user's function. @throws TypeError when it is none, or gives a promise; AdapterError for one that is disabled in another's rows */
  run<T>(call: Around, where: string, fn: () => T, around: (fn: () => T) => T): T {
    if (call === 'withAdaptersDisabled' && this.#inside === 'withAdapterNames') this.checkEnabled(where);
    if (typeof fn !== 'function') throw new TypeError(`${where}: got ${describe(fn)}, expected a function`);
    const before = this.#inside;
    this.#inside = call;
    let result: T;
    try {
      result = around(fn);
    } finally {
      this.#inside = before;
    }
    refusePromise(where, result);
    return result;
  }
}

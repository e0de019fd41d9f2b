/** The one check of a Runtime that comes from outside: what makes layers asks here. */
import { describe } from '../values/checks.js';
import { Runtime } from './runtime.js';

/** A Runtime that is in use. @throws TypeError; Error after dispose */
export function checkRuntime(where: string, value: unknown): Runtime {
  if (!(value instanceof Runtime))
    throw new TypeError(`${where}: runtime is ${describe(value)}, expected a Runtime`);
  if (value.engine.disposed) throw new Error(`${where}: the runtime was used after dispose()`);
  return value;
}

/** Where the dropout masks of a model stand: the form that `Module.dropoutState` gives and `loadDropoutState` takes. */
import { checkInteger, describe } from '../values/checks.js';
import { isPlainObject } from '../values/kind.js';

/** The next mask of one layer, as two counters of the runtime's generator. */
export interface DropoutPlace {
  /** Which layer's masks. */
  readonly layer: number;
  /** How many it has had. */
  readonly step: number;
}

/** Places by the dotted names of the layers that drop. */
export type DropoutState = Readonly<Record<string, DropoutPlace>>;

const MAX = Number.MAX_SAFE_INTEGER;

/** The places of the layers of these names, in their order. @throws TypeError, RangeError */
export function checkPlaces(where: string, state: unknown, names: readonly string[]): DropoutPlace[] {
  if (!isPlainObject(state))
    throw new TypeError(`${where}: state is ${describe(state)}, expected an object of places by name`);
  const missing = names.filter((name) => !Object.hasOwn(state, name));
  const unexpected = Object.keys(state).filter((name) => !names.includes(name));
  if (missing.length + unexpected.length > 0)
    throw new RangeError(
      `${where}: missing ${describe(missing)}, unexpected ${describe(unexpected)}, expected the layers of this module that drop`,
    );
  return names.map((name) => {
    const place = state[name];
    if (!isPlainObject(place))
      throw new TypeError(`${where}: ${describe(name)} is ${describe(place)}, expected { layer, step }`);
    return {
      layer: checkInteger(`${where}: layer of ${describe(name)}`, place.layer, 0, MAX),
      step: checkInteger(`${where}: step of ${describe(name)}`, place.step, 0, MAX),
    };
  });
}

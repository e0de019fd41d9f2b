/** Where the dropout masks of a model stand: read, and put back, by whoever lets training go on later. */
import { checkInteger, describe } from '../values/checks.js';
import { isPlainObject } from '../values/kind.js';
import type { MaskCounter } from './mask-counter.js';
import { Module } from './module.js';

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
function checkPlaces(where: string, state: unknown, names: readonly string[]): DropoutPlace[] {
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

/**
 * Where the masks of every layer that drops stand, by its dotted name: what a checkpoint needs beside `rt.randomState()`, so
 * that training goes on with the masks that it would have had. JSON holds it.
 * @throws TypeError
 */
export function dropoutState(model: Module): DropoutState {
  return Object.fromEntries(
    maskedIn('dropoutState', model).map(([name, { layer, step }]): [string, DropoutPlace] => [
      name,
      { layer, step },
    ]),
  );
}

/**
 * Puts masks where `dropoutState()` found them. Everything is checked before anything is changed.
 * @param state - a place for every layer that drops, and for no other
 * @throws TypeError, RangeError
 */
export function loadDropoutState(model: Module, state: DropoutState): void {
  const where = 'loadDropoutState';
  const masked = maskedIn(where, model);
  const places = checkPlaces(
    where,
    state,
    masked.map(([name]) => name),
  );
  for (const [i, [, masks]] of masked.entries()) {
    masks.layer = places[i]!.layer;
    masks.step = places[i]!.step;
  }
}

/** The counters of masks in a tree, with the names of their layers. @throws TypeError */
function maskedIn(where: string, model: Module): [string, MaskCounter][] {
  if (!(model instanceof Module))
    throw new TypeError(`${where}: model is ${describe(model)}, expected a Module`);
  return model
    .namedModules()
    .flatMap(([name, { masks }]): [string, MaskCounter][] => (masks === null ? [] : [[name, masks]]));
}

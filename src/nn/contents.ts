/**
 * What a module holds: the modules and parameters in its own properties, and in arrays, Maps, Sets and plain objects
 * there, however deep. Names are those of transformers: `blocks.0.1`, `heads.en`. Called by `module.ts`.
 */

import { describe } from '../values/checks.js';
import { isOfAnotherCopy } from '../values/copy.js';
import { isMap, isPlainObject, isSet } from '../values/kind.js';

/** Something found, where it stands. */
export interface Place<T> {
  /** Keys and indices on the way to it, joined by dots. */
  readonly name: string;
  readonly value: T;
  /** What stands there now. */
  get(): unknown;
  /** Puts another in its place. */
  put(value: T): void;
}

/**
 * Every place within `owner` that holds something wanted, in order; a container that is met again (shared, or in a
 * circle) is passed over, since what it holds has been found.
 * @throws TypeError for a key of a Map that names nothing
 * @param wanted - tells what is looked for; nothing is looked for inside of it
 * @param owner - whose own properties are searched, whatever its class
 */
export function placesIn<T>(
  owner: object,
  wanted: (value: unknown) => value is T,
  prefix = '',
): Iterable<Place<T>> {
  return within(owner, prefix, wanted, new Set());
}

function* within<T>(
  container: object,
  prefix: string,
  wanted: (value: unknown) => value is T,
  seen: Set<object>,
): Iterable<Place<T>> {
  if (seen.has(container)) return;
  seen.add(container);
  for (const { key, value, get, put } of entriesOf(container)) {
    const name = `${prefix}${key}`;
    if (value !== null && typeof value === 'object' && isOfAnotherCopy(value))
      throw new TypeError(`Module: ${name} is ${describe(value)}, expected none`);
    const found = wanted(value)
      ? [{ name, value, get, put }]
      : isContainer(value)
        ? within(value, `${name}.`, wanted, seen)
        : [];
    for (const place of found) {
      if (key === null)
        throw new TypeError(
          `Module: ${describe(place.value)} stands in a Map, ${prefix.slice(0, -1)}, under a key that is no string, expected a string or a number to name it by`,
        );
      yield place;
    }
  }
}

interface Entry {
  /** Null where it is no name. */
  readonly key: string | null;
  readonly value: unknown;
  get(): unknown;
  put(value: unknown): void;
}

/** Arrays, Maps, Sets and plain objects; anything else has a class that knows what it is for. */
function isContainer(value: unknown): value is object {
  return Array.isArray(value) || isMap(value) || isSet(value) || isPlainObject(value);
}

function entriesOf(container: object): Iterable<Entry> {
  if (isMap(container))
    return entries(
      [...container],
      (key) => container.get(key),
      (key, value) => container.set(key, value),
    );
  if (isSet(container))
    return entries(
      [...container].entries(),
      (i) => [...container][i],
      (i, value) => replaceIn(container, i, value),
    );
  const record = container as Record<PropertyKey, unknown>;
  return entries<PropertyKey>(
    Array.isArray(container) ? container.entries() : Object.entries(record),
    (key) => record[key],
    (key, value) => {
      record[key] = value;
    },
  );
}

function* entries<K>(
  pairs: Iterable<[K, unknown]>,
  get: (key: K) => unknown,
  put: (key: K, value: unknown) => unknown,
): Iterable<Entry> {
  for (const [key, value] of pairs)
    yield {
      key: typeof key === 'string' || typeof key === 'number' ? String(key) : null,
      value,
      get: () => get(key),
      put: (other) => put(key, other),
    };
}

/** A Set has no places: all of it is taken out and put back in order. */
function replaceIn(set: Set<unknown>, i: number, value: unknown): void {
  const values = [...set];
  values[i] = value;
  set.clear();
  for (const each of values) set.add(each);
}

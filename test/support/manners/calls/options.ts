/**
 * Right calls by name, and the options in them, which are also tried with names that nobody knows and with values of no kind
 * at all.
 */

/** By the target's name; made when they are asked for, as the objects are that they need. */
export type Calls = Readonly<Record<string, () => readonly (readonly unknown[])[]>>;

const known = new WeakSet<object>();

/** Options, as the last argument or anywhere else. */
export function options<T extends object>(given: T): T {
  known.add(given);
  return given;
}

export function areOptions(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && known.has(value);
}

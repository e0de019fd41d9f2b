/**
 * What every room checks of what it is given: the names of options, numbers, booleans; and how a value is put in the words of an
 * error message. Nothing here knows who asks.
 */
import { isOfAnotherCopy } from './copy.js';
import type { HostAbortSignal } from './globals.js';
import { isPlainObject } from './kind.js';

/** Refuses options that nobody knows, naming them and those there are. @throws TypeError */
export function checkOptions(where: string, options: unknown, known: readonly string[]): void {
  // A Map's entries, and what a class keeps to itself, would be options that nobody sees.
  if (!isPlainObject(options))
    throw new TypeError(`${where}: options are ${describe(options)}, expected a plain object`);
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      throw new TypeError(`${where}: unknown option ${describe(key)}, expected one of ${known.join(', ')}`);
    }
  }
}

/** A finite number within [low, high]. @throws TypeError, RangeError */
export function checkNumber(where: string, value: unknown, low: number, high: number): number {
  if (typeof value !== 'number') throw new TypeError(`${where} is ${describe(value)}, expected a number`);
  if (!(value >= low && value <= high)) {
    throw new RangeError(`${where} is ${value}, expected a number from ${low} to ${high}`);
  }
  return value;
}

/** A whole number within [low, high]. @throws TypeError, RangeError */
export function checkInteger(where: string, value: unknown, low: number, high: number): number {
  if (typeof value !== 'number') throw new TypeError(`${where} is ${describe(value)}, expected an integer`);
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new RangeError(`${where} is ${value}, expected an integer from ${low} to ${high}`);
  }
  return value;
}

/** A boolean. @throws TypeError */
export function checkBoolean(where: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw new TypeError(`${where} is ${describe(value)}, expected a boolean`);
  return value;
}

/** An AbortSignal, of this realm or another, or none. @throws TypeError */
export function checkSignal(where: string, value: unknown): asserts value is HostAbortSignal | undefined {
  if (value === undefined) return;
  const signal =
    typeof value === 'object' && value !== null && 'aborted' in value && 'throwIfAborted' in value;
  if (!signal || typeof value.aborted !== 'boolean' || typeof value.throwIfAborted !== 'function')
    throw new TypeError(`${where}: signal is ${describe(value)}, expected an AbortSignal`);
}

/** Characters of a text, and entries of an array, that a message shows. */
const SHOWN_CHARACTERS = 200;
const SHOWN_ENTRIES = 20;

/** A value in the words of an error message: short, and never an error itself, whatever the value is. */
export function describe(value: unknown): string {
  if (Array.isArray(value)) {
    const shown = Array.from(value.slice(0, SHOWN_ENTRIES), (entry) =>
      typeof entry === 'string' ? cut(entry) : Array.isArray(entry) ? 'an array' : describeOne(entry),
    );
    const more = value.length - shown.length;
    return `[${shown.join(', ')}${more > 0 ? `, ... ${more} more` : ''}]`;
  }
  return typeof value === 'string' ? `'${cut(value)}'` : describeOne(value);
}

function describeOne(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'bigint') return `${cut(String(value))}n`;
  if (value === null || typeof value !== 'object') return cut(String(value));
  const name = className(value);
  return typeof name === 'string' && name !== '' ? cut(name) : 'an object';
}

/** The name of an object's class, and whose it is if not ours; a getter or a proxy may refuse to tell. */
function className(value: object): unknown {
  try {
    const name: unknown = value.constructor?.name;
    return isOfAnotherCopy(value) ? `${name} of another copy of lora-wasm (import all from one entry)` : name;
  } catch {
    return undefined;
  }
}

function cut(text: string): string {
  if (text.length <= SHOWN_CHARACTERS) return text;
  return `${text.slice(0, SHOWN_CHARACTERS)} ... ${text.length - SHOWN_CHARACTERS} more characters`;
}

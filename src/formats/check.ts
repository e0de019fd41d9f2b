/** Checks of what the functions of this room are called with: kinds, options by name, bytes. Errors begin with the function's name. */

import { checkOptions, describe } from '../values/checks.js';
import { FormatError, messageText } from '../values/format-error.js';
import { bytesOf as bytesIn } from '../values/kind.js';
import { isFiniteFloat } from './strength.js';

const tagOf = (value: object): string => Object.prototype.toString.call(value).slice(8, -1);

/** @throws TypeError of one line */
export function wrongType(where: string, value: unknown, expected: string): TypeError {
  return new TypeError(messageText(`${where} is ${describe(value)}, expected ${expected}`));
}

/** An object that is no array, Map, buffer or the like. @throws TypeError */
export function checkObject(where: string, value: unknown, expected: string): asserts value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || tagOf(value) !== 'Object')
    throw wrongType(where, value, expected);
}

/** A field of an object whose shape is not known yet. */
export function field(value: object, name: string): unknown {
  return Reflect.get(value, name);
}

/** Options of the writers. @throws TypeError */
export function checkWriteOptions(where: string, options: unknown, more: readonly string[] = []): void {
  checkOptions(where, options, ['allowNonFinite', ...more]);
  checkFlags(where, Object.fromEntries(Object.entries(Object(options)).filter(([name]) => name !== 'base')));
}

/** A boolean, or missing. @throws TypeError */
export function checkFlags(where: string, flags: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(flags))
    if (value !== undefined && typeof value !== 'boolean')
      throw wrongType(`${where}: ${name}`, value, 'a boolean');
}

/** @throws TypeError */
export function checkText(where: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw wrongType(where, value, 'a string');
}

/** Alpha as it is given: a finite number, or missing. @throws TypeError, RangeError */
export function checkAlpha(where: string, alpha: unknown): void {
  if (alpha === undefined) return;
  if (typeof alpha !== 'number') throw wrongType(`${where}: alpha`, alpha, 'a number');
  if (!isFiniteFloat(alpha))
    throw new RangeError(`${where}: alpha is ${alpha}, expected a finite number within float32`);
}

/** Bytes of any realm as a Uint8Array over the same memory. @throws TypeError */
export function bytesOf(where: string, value: unknown): Uint8Array {
  const bytes = bytesIn(value);
  if (bytes === null) throw wrongType(where, value, 'a Uint8Array or an ArrayBuffer');
  return bytes;
}

/** The model of an adapter, or none. @throws TypeError, RangeError */
export function checkBase(where: string, base: unknown): void {
  if (base === null || base === undefined) return;
  checkObject(`${where}: base`, base, 'what baseFromConfig or baseFromGguf gives, or null');
  checkText(`${where}: base.architecture`, field(base, 'architecture'));
  for (const name of ['heads', 'kvHeads']) {
    const heads = field(base, name);
    if (typeof heads !== 'number') throw wrongType(`${where}: base.${name}`, heads, 'a number');
    if (!Number.isSafeInteger(heads) || heads < 1)
      throw new RangeError(`${where}: base.${name} is ${heads}, expected an integer from 1 up`);
  }
  const tied = field(base, 'tied');
  if (typeof tied !== 'boolean') throw wrongType(`${where}: base.tied`, tied, 'a boolean');
}

/** What the errors of a function in here begin with when another one calls it. */
const INNER = /^(?:(?:read|write|parse|detect|format|open)[A-Za-z]*|LoraModel\.exportAdapter): /;

/** Runs a part of a function: an error of the part begins with the name of the function that was called. */
export function under<T>(where: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw renamed(where, error);
  }
}

/** The same for a part that gives a promise. */
export async function underAsync<T>(where: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw renamed(where, error);
  }
}

function renamed(where: string, error: unknown): unknown {
  if (!(error instanceof Error) || error.message.startsWith(`${where}:`)) return error;
  const message = `${where}: ${error.message.replace(INNER, '')}`;
  if (error instanceof FormatError) return new FormatError(message, { cause: error });
  if (error instanceof RangeError) return new RangeError(message, { cause: error });
  return error instanceof TypeError ? new TypeError(message, { cause: error }) : error;
}

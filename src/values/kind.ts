/**
 * What a value is, whatever realm it was made in: arrays, maps and bytes out of an iframe, of jsdom or of a `node:vm` context
 * are no instances of this realm's classes. Every room asks here; this room imports nothing.
 */

type Getter = (this: unknown) => unknown;

function getterOf(prototype: object, key: PropertyKey): Getter {
  return Object.getOwnPropertyDescriptor(prototype, key)!.get!;
}

const typedArray: object = Object.getPrototypeOf(Uint8Array.prototype);
const nameOfTypedArray = getterOf(typedArray, Symbol.toStringTag);
const lengthOfTypedArray = getterOf(typedArray, 'length');
const byteLengthOfBuffer = getterOf(ArrayBuffer.prototype, 'byteLength');

/** The name of a typed array's class, such as `'Float32Array'`; null for everything else, views of bytes among it. */
export function typedArrayName(value: unknown): string | null {
  const name = nameOfTypedArray.call(value);
  return typeof name === 'string' ? name : null;
}

/** How many elements a typed array really has: a subclass may say something else. */
export function typedArrayLength(value: ArrayBufferView): number {
  return Number(lengthOfTypedArray.call(value));
}

/** What an object calls itself: `'Map'`, `'URL'`, `'Blob'`; an empty string for one that cannot be asked. */
function tagOf(value: unknown): string {
  try {
    return Object.prototype.toString.call(value).slice(8, -1);
  } catch {
    return '';
  }
}

/** True where a getter or method that asks for an internal slot finds it. */
function has(slot: () => unknown): boolean {
  try {
    slot();
    return true;
  } catch {
    return false;
  }
}

export function isArrayBuffer(value: unknown): value is ArrayBuffer {
  return tagOf(value) === 'ArrayBuffer' && has(() => byteLengthOfBuffer.call(value));
}

export function isMap(value: unknown): value is Map<unknown, unknown> {
  return tagOf(value) === 'Map' && has(() => Map.prototype.has.call(value as Map<unknown, unknown>, 0));
}

export function isSet(value: unknown): value is Set<unknown> {
  return tagOf(value) === 'Set' && has(() => Set.prototype.has.call(value as Set<unknown>, 0));
}

/** The bytes of a Uint8Array (a Buffer is one) or an ArrayBuffer as this realm's Uint8Array over the same memory, else null. */
export function bytesOf(value: unknown): Uint8Array | null {
  if (value instanceof Uint8Array) return value;
  if (typedArrayName(value) === 'Uint8Array') {
    const { buffer, byteOffset, byteLength } = value as Uint8Array;
    return new Uint8Array(buffer, byteOffset, byteLength);
  }
  return isArrayBuffer(value) ? new Uint8Array(value) : null;
}

/** A URL as this realm's, else null. */
export function urlOf(value: unknown): URL | null {
  if (value instanceof URL) return value;
  if (value === null || typeof value !== 'object' || tagOf(value) !== 'URL') return null;
  const { href } = value as { readonly href?: unknown };
  return typeof href === 'string' && URL.canParse(href) ? new URL(href) : null;
}

/** A Blob or File. */
export function isBlob(value: unknown): value is Blob {
  if (value instanceof Blob) return true;
  if (value === null || typeof value !== 'object' || !['Blob', 'File'].includes(tagOf(value))) return false;
  return typeof (value as { readonly arrayBuffer?: unknown }).arrayBuffer === 'function';
}

/** An object of no class: `{}`, and `Object.create(null)`. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // The only prototype that has none itself is some realm's Object.prototype.
  return prototype === null || (Object.getPrototypeOf(prototype) === null && tagOf(value) === 'Object');
}

/** The error classes of the runtime that a caller can react to, and the check of option names. */

const MIB = 2 ** 20;

/** Linear memory could not grow, or could not be had at all. A runtime stays usable: free something, or ask for less. */
export class OutOfMemoryError extends Error {
  override readonly name = 'OutOfMemoryError';
  /** Bytes asked for. */
  readonly wanted: number;
  /** Bytes in use by live blocks. */
  readonly held: number;
  /** Bytes that the runtime may use at most. */
  readonly allowed: number;

  constructor(wanted: number, held: number, allowed: number, message?: string, options?: ErrorOptions) {
    super(
      message ??
        `allocate: wanted ${wanted} bytes, holding ${held}, allowed ${allowed} (maxMemoryMB ${Math.floor(allowed / MIB)})`,
      options,
    );
    this.wanted = wanted;
    this.held = held;
    this.allowed = allowed;
  }
}

/** A thread stopped in the middle of an operation, whose result is lost. The runtime goes on with one thread: do the step again. */
export class WorkerError extends Error {
  override readonly name = 'WorkerError';
}

/** Refuses options that nobody knows, naming them and those there are. @throws TypeError */
export function checkOptions(where: string, options: unknown, known: readonly string[]): void {
  if (options === null || typeof options !== 'object' || Array.isArray(options)) {
    throw new TypeError(`${where}: options are ${describe(options)}, expected an object`);
  }
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      throw new TypeError(`${where}: unknown option '${key}', expected one of ${known.join(', ')}`);
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

/** A value in the words of an error message. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'object')
    return Array.isArray(value) ? `[${value.join(', ')}]` : (value.constructor?.name ?? 'an object');
  return typeof value === 'function' ? 'a function' : String(value);
}

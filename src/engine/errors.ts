/** An error of the runtime's memory that a caller can react to. */

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

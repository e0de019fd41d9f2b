/** The error of the formats room. */

/** Bytes or names that a format does not allow; nothing was read or written. */
export class FormatError extends Error {
  override readonly name = 'FormatError';
}

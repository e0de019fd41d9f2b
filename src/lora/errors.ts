/** The error of the LoRA room. */

/** An adapter that does not exist, does not fit, or is in a state that the call contradicts. Nothing was changed. */
export class AdapterError extends Error {
  override readonly name = 'AdapterError';
}

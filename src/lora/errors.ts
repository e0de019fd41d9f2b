/** The error of the LoRA room. */
import { messageText } from '../values/format-error.js';

/** An adapter that does not exist, does not fit, or is in a state that the call contradicts. Nothing was changed. */
export class AdapterError extends Error {
  override readonly name = 'AdapterError';

  constructor(message: string, options?: ErrorOptions) {
    super(messageText(message), options);
  }
}

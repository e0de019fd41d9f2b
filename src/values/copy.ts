/**
 * Tells what this copy of the package made from what another one did: `lora-wasm` beside `lora-wasm/inline`, or two versions.
 * To `instanceof` a Tensor of another copy is any object, and its memory is another. `describe` names it, so that every check
 * that refuses it says why; what only looks for Tensors and Modules asks here.
 */

/** The property by which all copies know what is theirs. */
export const COPY: unique symbol = Symbol.for('lora-wasm.copy') as never;

/** What stands there in this copy. */
export const THIS_COPY: object = {};

/** Whether a value is a Tensor, a Runtime or a Module of another copy. */
export function isOfAnotherCopy(value: object): boolean {
  const copy = (value as { readonly [COPY]?: unknown })[COPY];
  return copy !== undefined && copy !== THIS_COPY;
}

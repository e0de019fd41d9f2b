/** Names of the tensors in a PEFT adapter: built from the module's path, never by replacing text. */

import { checkText } from './check.js';

/** What stands before every module path in PEFT's files. */
export const PEFT_PREFIX = 'base_model.model.';

/** The key of a tensor: `base_model.model.fc1.lora_A.weight`. */
export function peftKey(modulePath: string, slot: string, prefix = PEFT_PREFIX): string {
  for (const [name, value] of Object.entries({ modulePath, slot, prefix }))
    checkText(`peftKey: ${name}`, value);
  return `${prefix}${modulePath}.${slot}`;
}

/** The part of a key behind the module's path that holds A or B. */
export function peftSlot(kind: 'linear' | 'embedding' | 'conv2d', letter: 'A' | 'B'): string {
  return kind === 'embedding' ? `lora_embedding_${letter}` : `lora_${letter}.weight`;
}

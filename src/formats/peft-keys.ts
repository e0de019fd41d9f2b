/** Names of the tensors in a PEFT adapter: built from the module's path and taken apart by their ends, never by replacing text. */

/** What stands before every module path in PEFT's files. */
export const PEFT_PREFIX = 'base_model.model.';

/** The key of a tensor: `base_model.model.fc1.lora_A.weight`. */
export function peftKey(modulePath: string, slot: string, prefix = PEFT_PREFIX): string {
  return `${prefix}${modulePath}.${slot}`;
}

/** A key without the adapter's name, which some files hold between `lora_A` and `weight`. */
export function withoutAdapterName(key: string, adapter: string): string {
  const parts = key.split('.');
  const n = parts.length;
  const named =
    n >= 3 && parts[n - 1] === 'weight' && parts[n - 2] === adapter && /^lora_[AB]$/.test(parts[n - 3]!);
  return named ? [...parts.slice(0, n - 2), 'weight'].join('.') : key;
}

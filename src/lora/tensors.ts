/** An adapter's tensors by the keys of PEFT's file, and the other spellings that files have for them. */
import { peftSlot } from '../formats/peft-keys.js';
import type { Parameter } from '../tensor/parameter.js';
import type { LayerKind } from './base-layer.js';
import type { OwnCopy } from './copies.js';
import type { LoraFactors } from './factors.js';

/** One layer of an adapter with its dotted name. */
export interface NamedFactors {
  readonly path: string;
  readonly kind: LayerKind;
  readonly factors: LoraFactors;
  /** Outputs of the layer. */
  readonly outputs: number;
}

/** A tensor of an adapter's file. */
export interface AdapterTensor {
  /** The key behind the prefix. */
  readonly key: string;
  /** Other keys that mean it, behind the prefix. */
  readonly aliases: readonly string[];
  readonly parameter: Parameter;
}

/** Every tensor of an adapter. @param names - adapter's names that a file may hold inside its keys */
export function adapterTensors(
  layers: readonly NamedFactors[],
  copies: readonly OwnCopy[],
  names: readonly string[],
): AdapterTensor[] {
  const tensors: AdapterTensor[] = [];
  for (const { path, kind, factors } of layers) {
    const put = (slot: string, parameter: Parameter | null, aliases: readonly string[]): void => {
      if (parameter === null) return;
      tensors.push({
        key: `${path}.${slot}`,
        parameter,
        aliases: aliases.map((alias) => `${path}.${alias}`),
      });
    };
    for (const letter of ['A', 'B'] as const) {
      const aliases = names.map((name) =>
        kind === 'embedding' ? `lora_embedding_${letter}.${name}` : `lora_${letter}.${name}.weight`,
      );
      put(peftSlot(kind, letter), factors[letter], aliases);
    }
    put(
      'lora_B.bias',
      factors.bias,
      names.map((name) => `lora_B.${name}.bias`),
    );
    put('lora_magnitude_vector', factors.magnitude, [
      'lora_magnitude_vector.weight',
      ...names.flatMap((name) => [`lora_magnitude_vector.${name}`, `lora_magnitude_vector.${name}.weight`]),
    ]);
  }
  for (const { path, slot, kind, key, own } of copies) {
    const within =
      kind === 'saved' ? names.map((name) => `${path}.modules_to_save.${name}.${slot.name}`) : [];
    tensors.push({
      key,
      parameter: own,
      aliases: [...within, `${path}.${slot.name}`].filter((alias) => alias !== key),
    });
  }
  return tensors;
}

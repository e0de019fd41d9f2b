/** An adapter's tensors by the keys of PEFT's file, and the other spellings that files have for them. */
import { ADAPTER_PARTS, peftAliases, peftSlot, savedSlot } from '../../formats/peft-keys.js';
import type { Parameter } from '../../tensor/parameter.js';
import type { CopySite } from '../attached/copies.js';
import type { LayerKind } from '../kinds/adaptation.js';
import type { LoraFactors } from '../maths/factors.js';

/** One layer of an adapter with its dotted name. */
export interface NamedFactors {
  readonly path: string;
  readonly kind: LayerKind;
  readonly factors: LoraFactors;
  /** Outputs of the layer. */
  readonly outputs: number;
}

/** What stands for an adapter's tensors: the parameters, or before there are any their shapes. */
export interface TensorSources<T> {
  readonly layers: readonly {
    readonly path: string;
    readonly kind: LayerKind;
    readonly factors: { readonly A: T; readonly B: T; readonly bias: T | null; readonly magnitude: T | null };
  }[];
  readonly copies: readonly (CopySite & { readonly own: T })[];
}

/** A tensor of an adapter's file. */
export interface AdapterTensor<T = Parameter> {
  /** The key behind the prefix. */
  readonly key: string;
  /** Other keys that mean it, behind the prefix. */
  readonly aliases: readonly string[];
  readonly held: T;
}

/** Every tensor of an adapter. @param names - adapter's names that a file may hold inside its keys */
export function adapterTensors<T>(
  { layers, copies }: TensorSources<T>,
  names: readonly string[],
): AdapterTensor<T>[] {
  const tensors: AdapterTensor<T>[] = [];
  for (const { path, kind, factors } of layers) {
    for (const part of ADAPTER_PARTS) {
      const held = factors[part];
      if (held === null) continue;
      const aliases = peftAliases(kind, part, names).map((alias) => `${path}.${alias}`);
      tensors.push({ key: `${path}.${peftSlot(kind, part)}`, held, aliases });
    }
  }
  for (const { path, slot, kind, key, own } of copies) {
    const within = kind === 'saved' ? names.map((name) => `${path}.${savedSlot(name, slot.name)}`) : [];
    tensors.push({
      key,
      held: own,
      aliases: [...within, `${path}.${slot.name}`].filter((alias) => alias !== key),
    });
  }
  return tensors;
}

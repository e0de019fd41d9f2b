/**
 * Names of the tensors in a PEFT adapter, in one table for who writes them and who reads them: built from the module's path
 * and taken apart by their ends, never by replacing text.
 */

import { checkText } from './check.js';

/** What stands before every module path in PEFT's files. */
export const PEFT_PREFIX = 'base_model.model.';

/** The key of a tensor: `base_model.model.fc1.lora_A.weight`. */
export function peftKey(modulePath: string, slot: string, prefix = PEFT_PREFIX): string {
  for (const [name, value] of Object.entries({ modulePath, slot, prefix }))
    checkText(`peftKey: ${name}`, value);
  return `${prefix}${modulePath}.${slot}`;
}

/** What a file holds of an adapted layer: its factors, the bias of lora_B, DoRA's magnitude. */
export type AdapterPart = 'A' | 'B' | 'bias' | 'magnitude';

interface PartName {
  readonly part: AdapterPart;
  /** Whether only embeddings have it, or only other layers; null: all. */
  readonly embedding: boolean | null;
  /** What stands before an adapter's name, where there is one, and what stands behind it. */
  readonly stem: string;
  readonly end: string;
}

/** The first of a part's names is the one that is written. */
const NAMES: readonly PartName[] = [
  { part: 'A', embedding: false, stem: 'lora_A', end: '.weight' },
  { part: 'B', embedding: false, stem: 'lora_B', end: '.weight' },
  { part: 'A', embedding: true, stem: 'lora_embedding_A', end: '' },
  { part: 'B', embedding: true, stem: 'lora_embedding_B', end: '' },
  { part: 'bias', embedding: null, stem: 'lora_B', end: '.bias' },
  { part: 'magnitude', embedding: null, stem: 'lora_magnitude_vector', end: '' },
  { part: 'magnitude', embedding: null, stem: 'lora_magnitude_vector', end: '.weight' },
];

const PATTERNS = NAMES.map(({ part, embedding, stem, end }) => ({
  ...{ part, embedding: embedding === true },
  pattern: new RegExp(`^(.+)\\.${stem}(?:\\.[^.]+)?${end.replace('.', '\\.')}$`, 's'),
}));

type Kind = 'linear' | 'embedding' | 'conv2d';

/** The part of a key behind the module's path, as it is written. */
export function peftSlot(kind: Kind, part: AdapterPart): string {
  const [{ stem, end } = NAMES[0]!] = namesOf(kind, part);
  return stem + end;
}

/** What else may stand there in files. @param adapters - names of adapters that keys may hold */
export function peftAliases(kind: Kind, part: AdapterPart, adapters: readonly string[]): string[] {
  const names = namesOf(kind, part);
  return [
    ...names.slice(1).map(({ stem, end }) => stem + end),
    ...adapters.flatMap((adapter) => names.map(({ stem, end }) => `${stem}.${adapter}${end}`)),
  ];
}

function namesOf(kind: Kind, part: AdapterPart): readonly PartName[] {
  return NAMES.filter(
    (name) => name.part === part && (name.embedding === null || name.embedding === (kind === 'embedding')),
  );
}

/** The layer and the part that a key behind the prefix names, whatever adapter's name it holds; null for no name of the table. */
export function partOfKey(key: string): { path: string; part: AdapterPart; embedding: boolean } | null {
  for (const { part, embedding, pattern } of PATTERNS) {
    const path = pattern.exec(key)?.[1];
    if (path !== undefined) return { path, part, embedding };
  }
  return null;
}

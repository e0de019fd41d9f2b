/**
 * Names in a PEFT adapter, in one table for who writes them and who reads them, in a file and in a model: built from the
 * module's path and taken apart by their ends, never by replacing text.
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
export const ADAPTER_PARTS = ['A', 'B', 'bias', 'magnitude'] as const;
export type AdapterPart = (typeof ADAPTER_PARTS)[number];

interface PartName {
  readonly part: AdapterPart;
  /** Whether only embeddings have it, or only other layers; null: all. */
  readonly embedding: boolean | null;
  /** What stands before an adapter's name, where there is one, and what stands behind it. */
  readonly stem: string;
  readonly end: string;
}

/** The first of a part's names is the one that is written, the last the one that stands in a model. */
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

/** The parameter's name in a model, where an adapter's name always stands: `lora_A.default.weight`. */
export function slotInModel(kind: Kind, part: AdapterPart, adapter: string): string {
  const { stem, end } = namesOf(kind, part).at(-1)!;
  return `${stem}.${adapter}${end}`;
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

/**
 * Where PEFT puts what was there before: a wrapped layer's own parameters, and those of a module that is saved whole, whose
 * biases stand in files with `bias: "all"`.
 */
const [WRAPPED, ORIGINAL] = ['base_layer', 'original_module'];
/** Where an adapter's copy of a module that is saved whole stands, behind its name in a model. */
const SAVED = 'modules_to_save';

/** The key of a wrapped layer's own parameter. */
export function keyInWrapped(path: string, slot: string): string {
  return `${path}.${WRAPPED}.${slot}`;
}

/** The key of a parameter of a saved module, in a model and in files that hold adapters' names. */
export function savedSlot(adapter: string, slot: string): string {
  return `${SAVED}.${adapter}.${slot}`;
}

/** The name in the plain model of the parameter that a key behind the prefix names. */
export function nameInBase(key: string): string {
  const segments = key.split('.');
  if (segments.at(-2) === WRAPPED) segments.splice(-2, 1);
  const original = segments.indexOf(ORIGINAL);
  if (original > 0) segments.splice(original, 1);
  return segments.join('.');
}

/** What a key that is no adapter's part names by its ends: the model's own before it was wrapped, a bias, or what they do not tell. */
export function placeOfKey(key: string): 'original' | 'bias' | 'wrapped' | null {
  const segments = key.split('.');
  if (segments.includes(ORIGINAL)) return 'original';
  if (segments.at(-1) === 'bias') return 'bias';
  return segments.at(-2) === WRAPPED && segments.at(-1) === 'weight' ? 'wrapped' : null;
}

/** A saved module's bias under its place in PEFT's wrapper, as the key that the file has it under as well; null for another key. */
export function firstOfCopy(key: string): string | null {
  const found = new RegExp(`^(.+)\\.${SAVED}(?:\\.[^.]+)?\\.((?:.+\\.)?bias)$`).exec(key);
  return found === null ? null : `${found[1]}.${found[2]}`;
}

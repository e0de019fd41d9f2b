/**
 * The base model of a GGUF adapter: the architecture, GGUF's names of its layers, and the heads by which llama.cpp's
 * converter reorders the rows of Llama's query and key weights (rotary pairs side by side in place of two halves). What reads
 * a whole model in GGUF asks here too.
 */

import { describe } from '../values/checks.js';
import { FormatError } from '../values/format-error.js';
import { isMap } from '../values/kind.js';
import { checkObject, checkText, wrongType } from './check.js';
import type { GgufFile } from './gguf-file.js';
import { type Json, JsonNumber, parseJson } from './json.js';
import type { LoraArray } from './lora-file.js';

/** What of the base is needed. */
export interface GgufBase {
  readonly architecture: string;
  readonly heads: number;
  readonly kvHeads: number;
  /** Whether the head is the embedding: then GGUF has no tensor of its own for it. */
  readonly tied: boolean;
}

/** transformers' model types, by GGUF's architecture. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  llama: 'llama',
  mistral: 'llama',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
  gemma: 'gemma',
  gemma2: 'gemma2',
  phi3: 'phi3',
};

const BLOCK_NAMES: readonly (readonly [string, string])[] = [
  ['self_attn.q_proj', 'attn_q'],
  ['self_attn.k_proj', 'attn_k'],
  ['self_attn.v_proj', 'attn_v'],
  ['self_attn.qkv_proj', 'attn_qkv'],
  ['self_attn.o_proj', 'attn_output'],
  ['mlp.gate_proj', 'ffn_gate'],
  ['mlp.up_proj', 'ffn_up'],
  ['mlp.down_proj', 'ffn_down'],
];
const OUTER_NAMES: readonly (readonly [string, string])[] = [
  ['model.embed_tokens', 'token_embd'],
  ['lm_head', 'output'],
];

/** Names in a block; Phi-3's one matrix of gate and up goes by the name of up. */
function blockNames(architecture: string): readonly (readonly [string, string])[] {
  if (architecture !== 'phi3') return BLOCK_NAMES;
  return BLOCK_NAMES.map((pair) => (pair[1] === 'ffn_up' ? (['mlp.gate_up_proj', 'ffn_up'] as const) : pair));
}

/** GGUF's name of a layer, without `.weight`; null when the architecture has no such layer. */
export function ggufName(
  { architecture, tied }: Pick<GgufBase, 'architecture' | 'tied'>,
  path: string,
): string | null {
  const [, block, rest] = /^model\.layers\.(\d+)\.(.+)$/.exec(path) ?? [];
  if (path === 'lm_head' && tied) return null;
  if (block === undefined) return OUTER_NAMES.find(([hf]) => hf === path)?.[1] ?? null;
  const found = blockNames(architecture).find(([hf]) => hf === rest);
  return found === undefined ? null : `blk.${block}.${found[1]}`;
}

/** The layer of a GGUF name; null when there is none. */
export function pathOfGguf({ architecture }: Pick<GgufBase, 'architecture'>, name: string): string | null {
  const [, block, rest] = /^blk\.(\d+)\.(.+)$/.exec(name) ?? [];
  if (block === undefined) return OUTER_NAMES.find(([, short]) => short === name)?.[0] ?? null;
  const found = blockNames(architecture).find(([, short]) => short === rest);
  return found === undefined ? null : `model.layers.${block}.${found[0]}`;
}

/** Whether the rows of a layer, by its GGUF name, are reordered in files of an architecture. */
export function isReordered(architecture: string, name: string): boolean {
  return architecture === 'llama' && /\.attn_[qk]$/.test(name);
}

/** Whose row in transformers' order a row in GGUF's is: within a head, row 2j + t is row t·half + j. */
export function rowInHalves(row: number, headDim: number): number {
  const within = row % headDim;
  return row - within + (within % 2) * (headDim / 2) + Math.floor(within / 2);
}

/** B with its rows in GGUF's order, or back. @throws FormatError */
export function reorderRows(
  where: string,
  base: GgufBase,
  name: string,
  B: LoraArray,
  back: boolean,
): LoraArray {
  if (!isReordered(base.architecture, name)) return B;
  const heads = name.endsWith('q') ? base.heads : base.kvHeads;
  const [rows = 0, r = 0] = B.shape;
  if (rows % (2 * heads) !== 0)
    throw new FormatError(
      `${where}: '${name}' has ${rows} rows, expected a multiple of two for each of ${heads} heads`,
    );
  const data = new Float32Array(B.data.length);
  for (let row = 0; row < rows; row++) {
    const own = rowInHalves(row, rows / heads);
    const [from, to] = back ? [row, own] : [own, row];
    data.set(B.data.subarray(from * r, (from + 1) * r), to * r);
  }
  return { shape: B.shape, data };
}

/** From transformers' `config.json`. @throws FormatError */
export function baseFromConfig(text: string): GgufBase {
  const where = 'baseFromConfig: config.json';
  checkText('baseFromConfig: text', text);
  const root = parseJson(where, text);
  if (!(root instanceof Map)) throw new FormatError(`${where}: the file is no object, expected one`);
  const type = root.get('model_type');
  const architecture =
    typeof type === 'string' && Object.hasOwn(ARCHITECTURES, type) ? ARCHITECTURES[type]! : null;
  if (architecture === null)
    throw new FormatError(
      `${where}: model_type is ${JSON.stringify(type ?? null)}, expected one of ${Object.keys(ARCHITECTURES).join(', ')}`,
    );
  const heads = count(where, 'num_attention_heads', root.get('num_attention_heads'));
  const kv = root.get('num_key_value_heads') ?? null;
  const kvHeads = kv === null ? heads : count(where, 'num_key_value_heads', kv);
  // Gemma's configs leave the field out, and its other programs know no head beside the embedding.
  const tied = architecture.startsWith('gemma') || root.get('tie_word_embeddings') === true;
  return { architecture, heads, kvHeads, tied };
}

function count(where: string, field: string, value: Json | undefined): number {
  const integer = value instanceof JsonNumber ? value.integer : null;
  if (integer === null || integer < 1)
    throw new FormatError(`${where}: ${field} is missing, expected a number from 1`);
  return integer;
}

/** From a model in GGUF. @throws FormatError */
export function baseFromGguf(file: GgufFile): GgufBase {
  const where = 'baseFromGguf';
  checkObject(`${where}: file`, file, 'what openGguf gives');
  const { metadata, tensors } = file;
  for (const [name, map] of Object.entries({ metadata, tensors }))
    if (!isMap(map)) throw wrongType(`${where}: file.${name}`, map, 'a Map');
  const architecture = metadata.get('general.architecture');
  if (typeof architecture !== 'string' || !Object.values(ARCHITECTURES).includes(architecture))
    throw new FormatError(
      `${where}: general.architecture is ${describe(architecture)}, expected one of ${[...new Set(Object.values(ARCHITECTURES))].join(', ')}`,
    );
  const heads = numberOf(metadata.get(`${architecture}.attention.head_count`));
  const kvHeads = numberOf(metadata.get(`${architecture}.attention.head_count_kv`) ?? heads);
  if (!Number.isInteger(heads) || heads < 1 || !Number.isInteger(kvHeads) || kvHeads < 1)
    throw new FormatError(`${where}: ${architecture}.attention.head_count is no number, expected one`);
  return { architecture, heads, kvHeads, tied: !tensors.has('output.weight') };
}

const numberOf = (value: unknown): number => (typeof value === 'number' ? value : Number.NaN);

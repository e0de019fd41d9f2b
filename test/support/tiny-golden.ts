/** A tiny Llama of the golden values that is in git, with as many positions as a test asks for, and a tokenizer of its 101 ids. */
import { readdirSync, readFileSync } from 'node:fs';
import type { ByteSource } from '../../src/formats/source.js';
import { type LanguageModel, loadModel } from '../../src/models/index.js';
import type { Runtime } from '../../src/tensor/runtime.js';

const FOLDER = new URL('../golden/tiny/llama/', import.meta.url);

/** The model's files by name; `texts` are put beside them. */
export function tinyFiles(
  length = 64,
  texts: Readonly<Record<string, string>> = {},
): Map<string, ByteSource> {
  const folder = new URL('model/', FOLDER);
  const files = new Map<string, ByteSource>(readdirSync(folder).map((name) => [name, new URL(name, folder)]));
  const config: object = JSON.parse(readFileSync(new URL('config.json', folder), 'utf8'));
  const own = { 'config.json': JSON.stringify({ ...config, max_position_embeddings: length }), ...texts };
  for (const [name, text] of Object.entries(own)) files.set(name, new Blob([text]));
  return files;
}

export function loadTiny(
  rt: Runtime,
  length?: number,
  texts?: Readonly<Record<string, string>>,
): Promise<LanguageModel> {
  return loadModel(rt, tinyFiles(length, texts));
}

/** The adapter that goes with it: what `loadAdapter` takes. */
export function tinyAdapter(): { config: string; weights: Uint8Array } {
  const file = (name: string): Uint8Array => readFileSync(new URL(`adapter/${name}`, FOLDER));
  return {
    config: new TextDecoder().decode(file('adapter_config.json')),
    weights: new Uint8Array(file('adapter_model.safetensors')),
  };
}

/** `tokenizer.json` of 101 tokens: three special ones, then printable ASCII and three bytes of which `€` is made. */
export function tinyTokenizer(): string {
  const special = ['<unk>', '<s>', '</s>'];
  const letters = Array.from({ length: 95 }, (_, i) => String.fromCharCode(0x20 + i)).join('');
  // Byte-level names: a space is Ġ, and the bytes E2 82 AC are â, Ĥ, ¬.
  const tokens = [...special, ...letters.replace(' ', 'Ġ'), 'â', 'Ĥ', '¬'];
  return JSON.stringify({
    model: { type: 'BPE', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges: [] },
    added_tokens: special.map((content, id) => ({ id, content, special: true })),
    ...{ normalizer: null, post_processor: null, decoder: { type: 'ByteLevel' } },
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
  });
}

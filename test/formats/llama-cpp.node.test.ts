/** GGUF adapters beside what llama.cpp's own converter makes of the same PEFT adapter; made by fixtures/make_llama_cpp.py. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ggufValues } from '../../src/formats/gguf-file.js';
import { baseFromConfig, convert, openGguf } from '../../src/formats/index.js';
import { memorySource } from '../../src/formats/source.js';

async function contents(bytes: Uint8Array) {
  const source = memorySource(bytes);
  const { metadata, tensors } = await openGguf('x', source);
  const values = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const [name, tensor] of tensors) values.set(name, await ggufValues('x', source, name, tensor));
  return { metadata, values };
}

test.each(['llama', 'mistral', 'qwen2', 'qwen3', 'gemma', 'gemma2', 'phi3'])(
  '%s: the same names, shapes and values',
  async (type) => {
    const read = (name: string): Uint8Array =>
      new Uint8Array(readFileSync(new URL(`./fixtures/llama_cpp/${type}/${name}`, import.meta.url)));
    const base = baseFromConfig(new TextDecoder().decode(read('config.json')));
    const input = { weights: read('adapter_model.safetensors'), config: read('adapter_config.json') };
    const { files, warnings } = await convert(input, { to: 'gguf', base });
    expect(warnings).toEqual([]);
    const own = await contents(files.get('adapter.gguf')!);
    const theirs = await contents(read('adapter.gguf'));
    expect(new Map([...own.values].sort())).toEqual(new Map([...theirs.values].sort()));
    for (const [key, value] of own.metadata) expect(theirs.metadata.get(key), key).toEqual(value);
  },
);

/** `lora-wasm/node`: what needs a file system. */
import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LoraModel } from './lora/model.js';

/** Writes a file so that a reader sees the old content or the new one, never a part: to a temporary name, then renamed. */
export async function writeAtomic(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await writeFile(temporary, bytes);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/**
 * Writes an adapter as PEFT's `adapter_config.json` and `adapter_model.safetensors` into a folder, made if need be.
 * @param name - the adapter, by default the first active one
 * @returns the paths written
 * @throws AdapterError, FormatError; file system errors
 */
export async function saveAdapter(
  model: LoraModel,
  name: string | undefined,
  folder: string,
): Promise<string[]> {
  const files = model.exportAdapter(name);
  await mkdir(folder, { recursive: true });
  const paths: string[] = [];
  for (const file of ['adapter_model.safetensors', 'adapter_config.json'] as const) {
    const path = join(folder, file);
    await writeAtomic(path, files[file]);
    paths.push(path);
  }
  return paths;
}

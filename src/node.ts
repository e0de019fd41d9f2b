/** `lora-wasm/node`: what needs a file system. */
import { randomUUID } from 'node:crypto';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { bytesOf, checkText, under, wrongType } from './formats/check.js';
import { type LazySafetensorsFile, openSafetensorsAs } from './formats/safetensors-open.js';
import { AdapterError } from './lora/errors.js';
import type { ExportOptions } from './lora/files/export-adapter.js';
import type { LoraModel } from './lora/lora-model.js';
import type { Module } from './nn/module.js';
import { checkReplaceable, replacing, writeSynced } from './node/durable.js';
import { readRange } from './platform/file-range.js';
import { makeFolder } from './platform/make-folder.js';

export { type FolderStoreOptions, folderStore } from './node/folder-store.js';

/**
 * Writes a file so that a reader sees the old content or the new one, never a part: to a temporary name, synced, then renamed.
 * @throws TypeError; Error for a device or a pipe; file system errors, the file is then as before
 */
export async function writeAtomic(path: string, bytes: Uint8Array | ArrayBuffer): Promise<void> {
  checkText('writeAtomic: path', path);
  const data = bytesOf('writeAtomic: bytes', bytes);
  await checkReplaceable('writeAtomic', path);
  const temporary = `${path}.${randomUUID()}.tmp`;
  await replacing(temporary, path, dirname(path), () => writeSynced(temporary, data));
}

/**
 * Writes an adapter as PEFT's `adapter_config.json` and `adapter_model.safetensors` into a folder, made if need be.
 * @param name - the adapter, by default the first active one
 * @param options - those of `exportAdapter`
 * @returns the paths written
 * @throws AdapterError, FormatError; file system errors
 */
export async function saveAdapter(
  model: LoraModel<Module>,
  name: string | undefined,
  folder: string,
  options: ExportOptions = {},
): Promise<string[]> {
  const where = 'saveAdapter';
  if (typeof model?.exportAdapter !== 'function') throw wrongType(`${where}: model`, model, 'a LoraModel');
  if (name !== undefined) checkText(`${where}: name`, name);
  checkText(`${where}: folder`, folder);
  const files = exported(where, model, name, options);
  await makeFolder(folder);
  const paths: string[] = [];
  for (const file of ['adapter_model.safetensors', 'adapter_config.json'] as const) {
    const path = join(folder, file);
    await writeAtomic(path, files[file]);
    paths.push(path);
  }
  return paths;
}

function exported(where: string, model: LoraModel<Module>, name: string | undefined, options: ExportOptions) {
  try {
    return under(where, () => model.exportAdapter(name, options));
  } catch (error) {
    if (!(error instanceof AdapterError)) throw error;
    throw new AdapterError(error.message.replace('LoraModel.exportAdapter', where), { cause: error });
  }
}

/** A lazily read file on disk; `close()` when its tensors are no longer needed. */
export interface OpenFile {
  readonly file: LazySafetensorsFile;
  /** Closes the file; what was read stays. */
  close(): Promise<void>;
  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens a safetensors file on disk: the header is checked, tensors are read when asked for.
 * @throws FormatError; file system errors
 * @example
 * const { file, close } = await openSafetensorsFile('model.safetensors');
 * const weight = await file.f32('fc1.weight');
 * await close();
 */
export async function openSafetensorsFile(path: string): Promise<OpenFile> {
  const where = 'openSafetensorsFile';
  checkText(`${where}: path`, path);
  const handle = await open(path);
  const close = (): Promise<void> => handle.close();
  const read = (begin: number, end: number) => readRange(handle, begin, end);
  try {
    const { size } = await handle.stat();
    const file = await openSafetensorsAs(where, { size, read });
    return { file, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

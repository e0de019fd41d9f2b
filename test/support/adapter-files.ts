/** An exported adapter's files, changed before they are loaded again, for tests of what a file may hold. */
import { parseSafetensors, type WritableTensor, writeSafetensors } from '../../src/formats/index.js';
import type { AdapterFiles } from '../../src/index.js';

export type Tensors = Map<string, WritableTensor>;

/** The files with other fields in the config, and with tensors that `change` sets or deletes by their keys. */
export function changedFiles(
  files: AdapterFiles,
  change: (tensors: Tensors) => void,
  fields: object = {},
): { config: object; weights: Uint8Array } {
  const config = JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as object;
  const file = parseSafetensors(files['adapter_model.safetensors']);
  const tensors: Tensors = new Map(
    file.names.map((key) => [key, { shape: file.info(key).shape, data: file.f32(key) }]),
  );
  change(tensors);
  return { config: { ...config, ...fields }, weights: writeSafetensors(tensors) };
}

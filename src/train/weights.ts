/**
 * What trains in a model as files, and back into it bit for bit: adapters as PEFT's two files each, the rest as safetensors.
 * Called by `checkpoint.ts`.
 */
import { readSafetensors } from '../formats/safetensors-read.js';
import { type WritableTensor, writeSafetensors } from '../formats/safetensors-write.js';
import { LoraModel } from '../lora/lora-model.js';
import type { Module } from '../nn/module.js';
import type { Parameter } from '../tensor/parameter.js';
import { sameShape, showShape } from '../values/shape.js';
import { CheckpointError } from './errors.js';
import type { CheckpointFiles } from './store.js';
import type { Named } from './window.js';

const MODEL = 'model.safetensors';
const ADAPTER = ['adapter_model.safetensors', 'adapter_config.json'] as const;

/** A parameter and the values that it is to have. */
export type Values = readonly [parameter: Parameter, values: ArrayLike<number>];

/** The folder of an adapter's files: none for the first one that trains, as PEFT has it for its default. */
function folderOf(adapter: string, first: string | undefined): string {
  return adapter === first ? '' : `${adapter}/`;
}

/** The files of what trains. @throws FormatError for a weight that is not finite */
export function weightFiles(model: Module): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const rest = model instanceof LoraModel ? outsideAdapters(model) : null;
  if (model instanceof LoraModel) {
    const adapters = model.trainedAdapters;
    for (const name of adapters) {
      const written = model.exportAdapter(name);
      for (const file of ADAPTER) files.set(folderOf(name, adapters[0]) + file, written[file]);
    }
  }
  // A plain model is whole there, so that it can be used without this package's checkpoints.
  if (rest === null) files.set(MODEL, writeSafetensors(model.stateDict()));
  else if (rest.length > 0) files.set(MODEL, writeNamed(rest));
  return files;
}

/**
 * The values of what trains out of such files; nothing is changed.
 * @throws CheckpointError, AdapterError, FormatError
 */
export function readWeights(where: string, model: Module, files: CheckpointFiles): Values[] {
  if (!(model instanceof LoraModel)) return readNamed(where, MODEL, files, trainedIn(model), false);
  const adapters = model.trainedAdapters;
  const values = adapters.flatMap((name): Values[] => {
    const file = folderOf(name, adapters[0]) + ADAPTER[0];
    return model.restoredValues(`${where}: ${file}`, name, fileOf(where, files, file));
  });
  const rest = outsideAdapters(model);
  return rest.length === 0 ? values : [...values, ...readNamed(where, MODEL, files, rest, true)];
}

/** Named parameters as a file. */
export function writeNamed(named: Named): Uint8Array {
  return writeSafetensors(
    named.map(([name, parameter]): [string, WritableTensor] => [
      name,
      { shape: parameter.shape, data: parameter.toArray() },
    ]),
  );
}

/** @param strict - whether the file may hold nothing else @throws CheckpointError, FormatError */
export function readNamed(
  where: string,
  name: string,
  files: CheckpointFiles,
  named: Named,
  strict = true,
): Values[] {
  const file = readSafetensors(`${where}: ${name}`, fileOf(where, files, name));
  if (strict && file.names.length !== named.length)
    throw new CheckpointError(
      `${where}: ${name} has ${file.names.length} tensors, expected the ${named.length} that train`,
    );
  return named.map(([key, parameter]): Values => {
    const shape = file.has(key) ? file.info(key).shape : null;
    if (shape === null || !sameShape(shape, parameter.shape))
      throw new CheckpointError(
        `${where}: '${key}' of ${name} is ${shape === null ? 'missing' : showShape(shape)}, expected ${showShape(parameter.shape)}`,
      );
    return [parameter, file.f32(key)];
  });
}

/** @throws CheckpointError */
export function fileOf(where: string, files: CheckpointFiles, name: string): Uint8Array {
  const file = files.get(name);
  if (file === undefined)
    throw new CheckpointError(
      `${where}: there is no ${name}, expected it among ${[...files.keys()].join(', ') || 'the files'}`,
    );
  return file;
}

/** What trains, by name. */
export function trainedIn(model: Module): Named {
  return model.namedParameters().filter(([, { requiresGrad }]) => requiresGrad);
}

/** What trains in no adapter: parameters that were unfrozen by hand. */
function outsideAdapters(model: LoraModel<Module>): Named {
  const inside = new Set(model.trainedAdapters.flatMap((name) => [...model.parametersOf(name)]));
  return trainedIn(model).filter(([, parameter]) => !inside.has(parameter));
}

/**
 * Microsoft loralib's checkpoints: `<path>.lora_A` [r, in] and `<path>.lora_B` [out, r] in a safetensors file, without alpha.
 * Its convolutions factor another matrix than PEFT's and its MergedLinear another shape: neither is a pair [r, in], [out, r].
 */

import { checkOptions } from '../values/checks.js';
import { FormatError } from '../values/format-error.js';
import { checkAlpha, checkWriteOptions, under } from './check.js';
import { checkLoraFile } from './check-file.js';
import { factorName, factorOf } from './factor-names.js';
import { alphasBeside, FactorTable, withLayers } from './factors.js';
import {
  checkHeld,
  type ExtraTensor,
  factorsOnly,
  isEmbeddingName,
  type LoraFile,
  type TargetRules,
} from './lora-file.js';
import { extraTensor, type ReadOptions } from './peft-read.js';
import { commonest, type LoraWriteOptions, plainAlpha } from './peft-write.js';
import { readSafetensors } from './safetensors-read.js';
import { type WritableTensor, writeSafetensors } from './safetensors-write.js';
import { scaledB } from './scaled.js';
import { strengthOf } from './strength.js';

/** Linear layers and embeddings; nothing beside factors. */
export const LORALIB_RULES: TargetRules = {
  module: ({ kind }) => (kind === 'conv2d' ? "loralib's convolutions are factored in another way" : null),
  extra: factorsOnly,
};

/** @param options - `alpha`, which the file does not hold @throws FormatError */
export function readLoralib(weights: Uint8Array | ArrayBuffer, options: ReadOptions = {}): LoraFile {
  const where = 'readLoralib';
  checkOptions(where, options, ['alpha']);
  checkAlpha(where, options.alpha);
  const file = readSafetensors(where, weights);
  const factors = new FactorTable(where);
  const others: ExtraTensor[] = [];
  for (const name of file.names) {
    const found = factorOf('loralib', name);
    if (found === null) {
      const kind = name.endsWith('.bias') ? 'bias' : 'unknown';
      others.push({ name, kind, tensor: extraTensor(file, name) });
      continue;
    }
    factors.add(found.path, found.half, { shape: file.info(name).shape, data: file.f32(name) });
  }
  const { paths } = factors;
  const { alphas, extras } = alphasBeside(where, file, others, paths, { given: options.alpha });
  const modules = factors.modules(
    (path) => (isEmbeddingName(path) ? 'embedding' : 'linear'),
    (path, r) => strengthOf(alphas.get(path) ?? options.alpha ?? null, r),
  );
  return { format: 'loralib', modules, extras: withLayers(extras, paths), config: null, warnings: [] };
}

/** The file, and the alpha to use with it: loralib's layers take alpha/r, so differing alphas are multiplied into B. */
export function writeLoralib(
  file: LoraFile,
  options: LoraWriteOptions = {},
): { weights: Uint8Array<ArrayBuffer>; alpha: number } {
  const where = 'writeLoralib';
  checkLoraFile(where, file);
  checkWriteOptions(where, options);
  checkHeld(where, file, LORALIB_RULES);
  const usual = commonest(file.modules.map((module) => plainAlpha(where, module)));
  const alpha = usual === 0 ? 1 : usual;
  const tensors = file.modules.flatMap((module): [string, WritableTensor][] => [
    [factorName('loralib', module.path, 'A'), module.A],
    [factorName('loralib', module.path, 'B'), scaledB(module, plainAlpha(where, module) / alpha)],
  ]);
  const names = new Set(tensors.map(([name]) => name));
  if (names.size !== tensors.length)
    throw new FormatError(`${where}: a path appears twice, expected each once`);
  const allowNonFinite = options.allowNonFinite ?? false;
  // The format has no place for alpha; metadata tells a person.
  const metadata = { format: 'pt', lora_alpha: String(alpha) };
  return { weights: under(where, () => writeSafetensors(tensors, { metadata, allowNonFinite })), alpha };
}

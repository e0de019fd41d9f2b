/**
 * mlx-lm's adapters: `adapters.safetensors` with `<path>.lora_a` [in, r] and `<path>.lora_b` [r, out], the transposes of
 * PEFT's, and an `adapter_config.json` whose `lora_parameters.scale` multiplies as it stands, whatever the rank.
 */

import { transposed } from '../values/arrays.js';
import { FormatError } from '../values/format-error.js';
import { checkObject, checkWriteOptions, under } from './check.js';
import { checkLoraFile } from './check-file.js';
import { factorName, factorOf, MAGNITUDE_END } from './factor-names.js';
import { FactorTable, withLayers } from './factors.js';
import {
  checkHeld,
  type ExtraTensor,
  factorsOnly,
  isEmbeddingName,
  type LoraFile,
  scaleOf,
  type TargetRules,
} from './lora-file.js';
import { checkUsed, parseMlxConfig } from './mlx-config.js';
import { extraTensor } from './peft-read.js';
import { commonest, type LoraWriteOptions } from './peft-write.js';
import { readSafetensors } from './safetensors-read.js';
import { type WritableTensor, writeSafetensors } from './safetensors-write.js';
import { padded, scaledB } from './scaled.js';

export interface MlxOptions extends LoraWriteOptions {
  /** Whether the model's head is its embedding. Default false. */
  readonly tied?: boolean;
}

/** Linear layers and embeddings; of a tied model none, since mlx-lm adapts the head with the embedding, and PEFT does not. */
export function mlxRules(tied: boolean): TargetRules {
  return {
    module: ({ kind }) => {
      if (kind === 'conv2d') return 'mlx-lm adapts no convolutions';
      return tied && kind === 'embedding' ? 'mlx-lm adapts the head with an embedding that is both' : null;
    },
    extra: factorsOnly,
  };
}

/** The two files that mlx-lm reads. */
export interface MlxFiles {
  readonly 'adapter_config.json': Uint8Array<ArrayBuffer>;
  readonly 'adapters.safetensors': Uint8Array<ArrayBuffer>;
}

/**
 * Reads mlx-lm's adapter.
 * @param source - `config` is the JSON, text or bytes
 * @throws FormatError
 */
export function readMlx(source: {
  readonly config: string | Uint8Array;
  readonly weights: Uint8Array | ArrayBuffer;
}): LoraFile {
  const where = 'readMlx';
  checkObject(`${where}: source`, source, 'config and weights');
  const config = parseMlxConfig(`${where}: adapter_config.json`, source.config);
  const file = readSafetensors(where, source.weights);
  const factors = new FactorTable(where);
  const others: ExtraTensor[] = [];
  for (const name of file.names) {
    const found = factorOf('mlx', name);
    const { shape } = file.info(name);
    // Layers of experts have factors of three dimensions.
    if (found === null || shape.length !== 2) {
      const kind = name.endsWith(MAGNITUDE_END.mlx) ? 'magnitude' : 'unknown';
      others.push({ name, kind, tensor: extraTensor(file, name) });
      continue;
    }
    factors.add(found.path, found.half, transposed({ shape, data: file.f32(name) }));
  }
  const { paths } = factors;
  checkUsed(`${where}: adapter_config.json`, config, paths);
  const extras = withLayers(others, paths);
  const bare = config.dora ? paths.find((path) => !file.has(path + MAGNITUDE_END.mlx)) : undefined;
  if (bare !== undefined)
    throw new FormatError(
      `${where}: '${bare}' has no magnitude '${bare}${MAGNITUDE_END.mlx}', expected one as DoRA has`,
    );
  const { scale } = config;
  const modules = factors.modules(
    (path) => (isEmbeddingName(path) ? 'embedding' : 'linear'),
    (_, r) => ({ alpha: scale * r, scale }),
  );
  return { format: 'mlx', modules, extras, config: null, warnings: [] };
}

/** Differing scales go into B, under scale 1; smaller ranks are filled up with zeros, which change nothing. @throws FormatError */
export function writeMlx(file: LoraFile, options: MlxOptions = {}): MlxFiles {
  const where = 'writeMlx';
  checkLoraFile(where, file);
  checkWriteOptions(where, options, ['tied']);
  checkHeld(where, file, mlxRules(options.tied ?? false));
  const scales = file.modules.map((module) => scaleOf(where, module));
  const scale = scales.every((value) => value === scales[0]) ? commonest(scales) : 1;
  const rank = Math.max(...file.modules.map(({ r }) => r));
  const tensors = file.modules.flatMap((module): [string, WritableTensor][] => {
    const factor = scale === 1 ? scaleOf(where, module) : 1;
    const { A, B } = padded(module.A, scaledB(module, factor), rank);
    return [
      [factorName('mlx', module.path, 'A'), transposed(A)],
      [factorName('mlx', module.path, 'B'), transposed(B)],
    ];
  });
  // In a block a key is a name within the block; elsewhere, as of a head, the whole path.
  const keys = file.modules.map(({ path }) => /^.*?\.\d+\.(.+)$/.exec(path)?.[1] ?? path);
  const config = {
    fine_tune_type: 'lora',
    lora_parameters: { dropout: 0, keys: [...new Set(keys)].sort(), rank, scale },
    num_layers: -1,
  };
  return {
    'adapter_config.json': new TextEncoder().encode(`${JSON.stringify(config, null, 4)}\n`),
    'adapters.safetensors': under(where, () =>
      writeSafetensors(tensors, {
        metadata: { format: 'mlx' },
        allowNonFinite: options.allowNonFinite ?? false,
      }),
    ),
  };
}

/**
 * mlx-lm's adapters: `adapters.safetensors` with `<path>.lora_a` [in, r] and `<path>.lora_b` [r, out], the transposes of
 * PEFT's, and an `adapter_config.json` whose `lora_parameters.scale` multiplies as it stands, whatever the rank.
 */
import { FormatError } from './errors.js';
import { decodeUtf8, JsonNumber, parseJson } from './json.js';
import {
  bothHalves,
  checkHeld,
  type ExtraTensor,
  factorsOnly,
  type Halves,
  isEmbeddingName,
  type LoraFile,
  loraModule,
  scaleOf,
  type TargetRules,
} from './lora-file.js';
import { extraTensor } from './peft-read.js';
import { commonest, type LoraWriteOptions } from './peft-write.js';
import { parseSafetensors } from './safetensors-read.js';
import { type WritableTensor, writeSafetensors } from './safetensors-write.js';
import { padded, scaledB, transposed } from './scaled.js';

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

/** @param config - the JSON, text or bytes @throws FormatError */
export function readMlx(source: {
  readonly config: string | Uint8Array;
  readonly weights: Uint8Array | ArrayBuffer;
}): LoraFile {
  const scale = scaleIn(source.config);
  const file = parseSafetensors(source.weights);
  const factors = new Map<string, Halves>();
  const extras: ExtraTensor[] = [];
  for (const name of file.names) {
    const found = /^(.+)\.lora_([ab])$/.exec(name);
    const { shape } = file.info(name);
    if (found === null || shape.length !== 2) {
      extras.push({
        name,
        kind: name.endsWith('.m') ? 'magnitude' : 'unknown',
        tensor: extraTensor(file, name),
      });
      continue;
    }
    const halves = factors.get(found[1]!) ?? {};
    halves[found[2] === 'a' ? 'A' : 'B'] = transposed({ shape, data: file.f32(name) });
    factors.set(found[1]!, halves);
  }
  const modules = [...factors].map(([path, halves]) => {
    const kind = isEmbeddingName(path) ? 'embedding' : 'linear';
    return loraModule('readMlx', path, kind, bothHalves('readMlx', path, halves), (r) => ({
      alpha: scale * r,
      scale,
    }));
  });
  return { format: 'mlx', modules, extras, config: null, warnings: [] };
}

function scaleIn(config: string | Uint8Array): number {
  const where = 'readMlx: adapter_config.json';
  const root = parseJson(where, typeof config === 'string' ? config : decodeUtf8(where, config));
  const type = root instanceof Map ? (root.get('fine_tune_type') ?? 'lora') : null;
  if (type !== 'lora' && type !== 'dora')
    throw new FormatError(`${where}: fine_tune_type is ${JSON.stringify(type)}, expected "lora" or "dora"`);
  const parameters = root instanceof Map ? root.get('lora_parameters') : null;
  const scale = parameters instanceof Map ? parameters.get('scale') : null;
  if (!(scale instanceof JsonNumber) || !Number.isFinite(scale.value))
    throw new FormatError(`${where}: lora_parameters.scale is no finite number, expected one`);
  return scale.value;
}

/** Differing scales go into B, under scale 1; smaller ranks are filled up with zeros, which change nothing. @throws FormatError */
export function writeMlx(file: LoraFile, options: MlxOptions = {}): MlxFiles {
  const where = 'writeMlx';
  checkHeld(where, file, mlxRules(options.tied ?? false));
  const scales = file.modules.map((module) => scaleOf(where, module));
  const scale = scales.every((value) => value === scales[0]) ? commonest(scales) : 1;
  const rank = Math.max(...file.modules.map(({ r }) => r));
  const tensors = file.modules.flatMap((module): [string, WritableTensor][] => {
    const factor = scale === 1 ? scaleOf(where, module) : 1;
    const { A, B } = padded(module.A, scaledB(module, factor), rank);
    return [
      [`${module.path}.lora_a`, transposed(A)],
      [`${module.path}.lora_b`, transposed(B)],
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
    'adapters.safetensors': writeSafetensors(tensors, {
      metadata: { format: 'mlx' },
      allowNonFinite: options.allowNonFinite ?? false,
    }),
  };
}

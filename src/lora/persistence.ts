/** An adapter's two files, to bytes and back. Keys are built from the module tree; nothing is applied before all of it fits. */
import { folderUrl, readBytes } from '#platform';
import { formatPeftConfig, type PeftConfig, parsePeftConfig } from '../formats/peft-config.js';
import { PEFT_PREFIX, peftKey, withoutAdapterName } from '../formats/peft-keys.js';
import { parseSafetensors, type SafetensorsFile } from '../formats/safetensors-read.js';
import { writeSafetensors } from '../formats/safetensors-write.js';
import { checkBoolean, checkOptions, describe } from '../runtime/errors.js';
import { sameShape, showShape } from '../tensor/shape.js';
import { type ResolvedConfig, resolveConfig } from './config.js';
import { AdapterError } from './errors.js';
import type { LoraFactors } from './lora-linear.js';

/** PEFT's two files as bytes. */
export interface AdapterFiles {
  readonly 'adapter_config.json': Uint8Array<ArrayBuffer>;
  readonly 'adapter_model.safetensors': Uint8Array<ArrayBuffer>;
}

/** What `loadAdapter` reads: the files' contents, what `exportAdapter` gave, or the folder (URL; in Node also a path). */
export type AdapterSource =
  | { readonly config: object | string; readonly weights: Uint8Array | ArrayBuffer | Blob | URL }
  | AdapterFiles
  | string
  | URL;

export interface LoadOptions {
  /** Whether the loaded weights train. Default false. */
  readonly trainable?: boolean;
  /** Refuse missing and unexpected keys; otherwise they are returned. Default true. */
  readonly strict?: boolean;
  /** What stands before the module names in the file. Default `'base_model.model.'`. */
  readonly prefix?: string;
}

/** What did not fit when an adapter was loaded. */
export interface LoadReport {
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly warnings: readonly string[];
}

/** One layer's factors with the layer's dotted name. */
export interface NamedFactors extends LoraFactors {
  readonly path: string;
}

/** @throws FormatError when a weight is not finite */
export function exportFiles(config: ResolvedConfig, layers: readonly NamedFactors[]): AdapterFiles {
  const tensors: [string, { shape: readonly number[]; data: Float32Array }][] = [];
  for (const { path, A, B } of layers) {
    tensors.push([
      peftKey(path, 'lora_A.weight'),
      { shape: A.shape, data: A.copyTo(new Float32Array(A.size)) },
    ]);
    tensors.push([
      peftKey(path, 'lora_B.weight'),
      { shape: B.shape, data: B.copyTo(new Float32Array(B.size)) },
    ]);
  }
  return {
    'adapter_config.json': formatPeftConfig(config),
    'adapter_model.safetensors': writeSafetensors(tensors),
  };
}

/** An adapter's files, read and checked, before they meet a model. */
export interface ReadAdapter {
  readonly config: ResolvedConfig;
  readonly warnings: readonly string[];
  /** Copies the tensors into the layers' factors. @throws AdapterError when they do not fit */
  apply(name: string, layers: readonly NamedFactors[]): { missing: string[]; unexpected: string[] };
}

/** Reads both files. @throws TypeError, AdapterError, FormatError */
export async function readSource(
  where: string,
  source: AdapterSource,
  options: LoadOptions,
): Promise<ReadAdapter> {
  checkOptions(where, options, ['trainable', 'strict', 'prefix']);
  const { strict = true, prefix = PEFT_PREFIX, trainable = false } = options;
  checkBoolean(`${where}: strict`, strict);
  checkBoolean(`${where}: trainable`, trainable);
  if (typeof prefix !== 'string')
    throw new TypeError(`${where}: prefix is ${describe(prefix)}, expected a string`);
  const { config: json, weights } = await contents(where, source);
  const { config, warnings } = parsePeftConfig(json);
  const file = parseSafetensors(weights);
  return {
    config: supported(where, config),
    warnings,
    apply: (name, layers) => apply(where, file, prefix, strict, name, layers),
  };
}

async function contents(
  where: string,
  source: AdapterSource,
): Promise<{ config: object | string | Uint8Array; weights: Uint8Array }> {
  if (typeof source === 'string' || source instanceof URL) {
    const folder = folderUrl(source);
    const config = await readBytes(new URL('adapter_config.json', folder));
    try {
      return { config, weights: await readBytes(new URL('adapter_model.safetensors', folder)) };
    } catch (cause) {
      const pickled = await readBytes(new URL('adapter_model.bin', folder)).then(
        () => true,
        () => false,
      );
      if (!pickled) throw cause;
      throw new AdapterError(
        `${where}: the folder holds adapter_model.bin, a pickle that can run code, expected adapter_model.safetensors`,
      );
    }
  }
  if (source === null || typeof source !== 'object')
    throw new TypeError(
      `${where}: source is ${describe(source)}, expected the files, a folder's URL or path`,
    );
  if ('adapter_model.safetensors' in source) {
    return { config: source['adapter_config.json'], weights: source['adapter_model.safetensors'] };
  }
  const { config, weights } = source;
  if (weights instanceof Uint8Array) return { config, weights };
  if (weights instanceof ArrayBuffer) return { config, weights: new Uint8Array(weights) };
  if (weights instanceof Blob) return { config, weights: new Uint8Array(await weights.arrayBuffer()) };
  if (weights instanceof URL) return { config, weights: await readBytes(weights) };
  throw new TypeError(`${where}: weights is ${describe(weights)}, expected bytes, a Blob or a URL`);
}

/** The options that this package has layers for. @throws AdapterError naming an option it has none for */
function supported(where: string, config: PeftConfig): ResolvedConfig {
  const refused: [string, boolean][] = [
    ['use_dora', config.useDora],
    ['lora_bias', config.loraBias],
    ['fan_in_fan_out', config.fanInFanOut],
    ['bias', config.bias !== 'none'],
    ['modules_to_save', config.modulesToSave !== null],
    [
      'init_lora_weights',
      !['true', 'false', 'gaussian', 'eva', 'orthogonal'].includes(String(config.initLoraWeights)),
    ],
    ['target_modules', config.targetModules === null],
  ];
  const found = refused.filter(([, set]) => set).map(([name]) => name);
  if (found.length > 0) {
    throw new AdapterError(
      `${where}: the adapter sets ${found.join(', ')}, which this version does not implement; expected a plain LoRA of linear layers`,
    );
  }
  const {
    r,
    loraAlpha,
    loraDropout,
    useRslora,
    targetModules,
    excludeModules,
    layersToTransform,
    layersPattern,
  } = config;
  const { rankPattern, alphaPattern, initLoraWeights: init, otherFields } = config;
  const resolved = resolveConfig(where, {
    r,
    loraAlpha,
    loraDropout,
    useRslora,
    initLoraWeights: init === 'gaussian' || typeof init === 'boolean' ? init : true,
    targetModules: targetModules!,
    excludeModules,
    layersToTransform,
    layersPattern,
    rankPattern,
    alphaPattern,
  });
  return { ...resolved, otherFields };
}

function apply(
  where: string,
  file: SafetensorsFile,
  prefix: string,
  strict: boolean,
  name: string,
  layers: readonly NamedFactors[],
): { missing: string[]; unexpected: string[] } {
  const inFile = new Map(file.names.map((key) => [withoutAdapterName(key, name), key]));
  const missing: string[] = [];
  const plan: { target: LoraFactors['A']; values: Float32Array }[] = [];
  for (const { path, A, B } of layers) {
    for (const [slot, target] of [
      ['lora_A.weight', A],
      ['lora_B.weight', B],
    ] as const) {
      const wanted = peftKey(path, slot, prefix);
      const key = inFile.get(wanted);
      inFile.delete(wanted);
      if (key === undefined) {
        missing.push(wanted);
        continue;
      }
      const { shape } = file.info(key);
      if (!sameShape(shape, target.shape)) {
        throw new AdapterError(
          `${where}: ${key} is ${showShape(shape)}, expected ${showShape(target.shape)}`,
        );
      }
      plan.push({ target, values: file.f32(key) });
    }
  }
  const unexpected = [...inFile.values()];
  const lists = `missing [${missing.join(', ')}], unexpected [${unexpected.join(', ')}]`;
  if (plan.length === 0)
    throw new AdapterError(
      `${where}: nothing in the file applies to this model, expected keys that begin with '${prefix}'; ${lists}`,
    );
  if (strict && missing.length + unexpected.length > 0)
    throw new AdapterError(`${where}: ${lists}, expected the keys of this model; strict: false allows them`);
  for (const { target, values } of plan) target.set(values);
  return { missing, unexpected };
}

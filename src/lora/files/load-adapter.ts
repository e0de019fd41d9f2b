/** Loading an adapter's two files. Keys are built from the module tree; nothing is applied before all of it fits. */
import type { LoraFile } from '../../formats/lora-file.js';
import type { PeftConfig } from '../../formats/peft-config.js';
import { PEFT_PREFIX } from '../../formats/peft-keys.js';
import { openPeft } from '../../formats/peft-open.js';
import type { Module } from '../../nn/module.js';
import { fileInFolder, ReadError, readBytes } from '../../platform/index.js';
import { checkBoolean, checkOptions, describe } from '../../values/checks.js';
import type { HostBlob, HostUrl } from '../../values/globals.js';
import { bytesOf, isBlob, urlOf } from '../../values/kind.js';
import { addAdapter } from '../attached/add-adapter.js';
import type { Attachment } from '../attached/attachment.js';
import type { AdapterPlan } from '../attached/plan.js';
import { type LoraConfig, type ResolvedConfig, resolveConfig } from '../config/config.js';
import type { InitLoraWeights } from '../config/layer-options.js';
import { AdapterError } from '../errors.js';
import { takesFromBase } from '../layer/initialise.js';
import type { AdapterFiles } from './export-adapter.js';
import { FileValues } from './file-values.js';
import { fromLoraFile, isLoraFile, type ReadFile } from './read-file.js';

/** What `loadAdapter` reads: the files' contents, what `exportAdapter` gave, what a reader of `lora-wasm/formats` gave, or the folder (URL; in Node also a path) that holds them. */
export type AdapterSource =
  | { readonly config: object | string; readonly weights: Uint8Array | ArrayBuffer | HostBlob | HostUrl }
  | AdapterFiles
  | LoraFile
  | string
  | HostUrl;

/** What `LoraModel.loadAdapter` takes beside name and source. */
export interface LoadOptions {
  /** Whether the loaded weights train. Default false. */
  readonly trainable?: boolean;
  /** Refuse missing and unexpected keys, and targets and patterns that match nothing; otherwise they are returned. Default true. */
  readonly strict?: boolean;
  /** What stands before the module names in the file. Default `'base_model.model.'`. */
  readonly prefix?: string;
  /**
   * `'changed'`: the base is already without what the adapter's initialisation took out of it (PiSSA and its kin). Default
   * `'original'`: PiSSA and OLoRA are run on the base first.
   */
  readonly base?: 'original' | 'changed';
}

/** What did not fit when an adapter was loaded. */
export interface LoadReport {
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  /** Targets, exclusions and keys of patterns that match no module, in words. */
  readonly unmatched: readonly string[];
  /** Unknown fields, and entries of `modulesToSave` that neither the model nor the file has. */
  readonly warnings: readonly string[];
}

/** Reads an adapter and adds it under a new name. @throws TypeError, AdapterError, FormatError; the model is then unchanged */
export async function loadAdapter(
  attachment: Attachment,
  name: string,
  source: AdapterSource,
  options: LoadOptions,
): Promise<LoadReport> {
  const where = 'LoraModel.loadAdapter';
  attachment.guard.checkAttached(where);
  attachment.adapters.checkNewName(where, name);
  const { strict, prefix, trainable, base } = checkLoadOptions(where, options);
  const { config, tensors, warnings } = await read(where, source, attachment.model, options.prefix);
  const values = new FileValues(where, tensors, prefix, strict);
  const { adapter, undo } = addAdapter(attachment, where, {
    name,
    config: supported(where, config),
    file: {
      strict,
      initOf: (plan) => initToRun(where, config, base, plan),
      fills: (path) => values.fills(path),
      compare: (tensors, model) => values.compare(tensors, model),
    },
  });
  try {
    values.fill(adapter.tensors());
  } catch (error) {
    undo();
    throw error;
  }
  adapter.trainable = trainable;
  const { idle, unmatched } = adapter.plan;
  return {
    ...{ missing: values.missing, unexpected: values.unexpected, unmatched },
    warnings: [
      ...warnings,
      ...idle.map((entry) => `${where}: ${entry} is neither in the model nor in the file`),
    ],
  };
}

/** @throws TypeError */
function checkLoadOptions(where: string, options: LoadOptions): Required<LoadOptions> {
  checkOptions(where, options, ['trainable', 'strict', 'prefix', 'base']);
  const { strict = true, prefix = PEFT_PREFIX, trainable = false, base = 'original' } = options;
  checkBoolean(`${where}: strict`, strict);
  checkBoolean(`${where}: trainable`, trainable);
  if (typeof prefix !== 'string')
    throw new TypeError(`${where}: prefix is ${describe(prefix)}, expected a string`);
  if (base !== 'original' && base !== 'changed')
    throw new TypeError(`${where}: base is ${describe(base)}, expected 'original' or 'changed'`);
  return { strict, prefix, trainable, base };
}

/** @param prefix - as it was given @throws TypeError, AdapterError, FormatError */
async function read(
  where: string,
  source: AdapterSource,
  model: Module,
  prefix: string | undefined,
): Promise<ReadFile> {
  if (isLoraFile(source)) {
    if (prefix !== undefined)
      throw new TypeError(
        `${where}: prefix is ${describe(prefix)} with an adapter that was read already, expected none: its modules have paths`,
      );
    return fromLoraFile(where, source, model);
  }
  return openPeft(where, await contents(where, source));
}

async function contents(
  where: string,
  source: Exclude<AdapterSource, LoraFile>,
): Promise<{ config: object | string; weights: Uint8Array }> {
  const address = typeof source === 'string' ? source : urlOf(source);
  if (address !== null) {
    const config = await readFile(where, fileInFolder(address, 'adapter_config.json'));
    try {
      return { config, weights: await readFile(where, fileInFolder(address, 'adapter_model.safetensors')) };
    } catch (cause) {
      const pickled = await readBytes(fileInFolder(address, 'adapter_model.bin')).then(
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
  const given = partsOf(source);
  const config = bytesOf(given.config) ?? given.config;
  if (typeof config !== 'string' && (config === null || typeof config !== 'object'))
    throw new TypeError(`${where}: config is ${describe(config)}, expected an object or JSON`);
  return { config, weights: await weightsOf(where, given.weights) };
}

/** @throws AdapterError that says from where, and what stood against it */
async function readFile(where: string, url: URL): Promise<Uint8Array> {
  try {
    return await readBytes(url);
  } catch (cause) {
    if (!(cause instanceof ReadError)) throw cause;
    throw new AdapterError(
      `${where}: ${url.href} could not be read (${cause.detail}), expected a file of an adapter`,
      {
        cause,
      },
    );
  }
}

/** Both files as they were given, by either pair of names. */
function partsOf(source: object): { readonly config: unknown; readonly weights: unknown } {
  const [config, weights] =
    'adapter_model.safetensors' in source
      ? (['adapter_config.json', 'adapter_model.safetensors'] as const)
      : (['config', 'weights'] as const);
  return { config: Reflect.get(source, config), weights: Reflect.get(source, weights) };
}

/** @throws TypeError for what holds no bytes */
async function weightsOf(where: string, weights: unknown): Promise<Uint8Array> {
  const bytes = bytesOf(weights);
  if (bytes !== null) return bytes;
  if (isBlob(weights)) return new Uint8Array(await weights.arrayBuffer());
  const url = urlOf(weights);
  if (url !== null) return readFile(where, url);
  throw new TypeError(`${where}: weights is ${describe(weights)}, expected bytes, a Blob or a URL`);
}

/** PEFT's options as this package's. @throws AdapterError naming what it does not do */
function supported(where: string, config: PeftConfig): ResolvedConfig {
  const { initLoraWeights: init, otherFields, targetModules, modulesToSave, ...fields } = config;
  if (init === 'mica')
    throw new AdapterError(
      `${where}: init_lora_weights is "mica": a MiCA adapter trains lora_A over a frozen lora_B, which is not implemented; expected another`,
    );
  if (targetModules === null)
    throw new AdapterError(
      `${where}: target_modules is null, which PEFT fills in by the kind of model; expected a list or a pattern`,
    );
  // The initialisation is kept as it stands in the file: what runs is `initToRun`.
  const plain = typeof init === 'boolean' ? init : true;
  const options = { ...fields, targetModules, modulesToSave, initLoraWeights: plain as InitLoraWeights };
  return { ...resolvedFromFile(where, options), initLoraWeights: init, otherFields };
}

/** @throws AdapterError where the options are none: a file is wrong then, and not the call */
function resolvedFromFile(where: string, options: LoraConfig): ResolvedConfig {
  try {
    return resolveConfig(where, options);
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError)
      throw new AdapterError(error.message, { cause: error });
    throw error;
  }
}

/** @throws AdapterError for a base that cannot be changed here as it was changed when the adapter was made */
function initToRun(
  where: string,
  { initLoraWeights: init }: PeftConfig,
  base: 'original' | 'changed',
  { layers }: AdapterPlan,
): boolean | string {
  if (base === 'changed' || !layers.some(({ layer }) => takesFromBase(layer.state, init))) return true;
  if (init === 'pissa' || init === 'olora') return init;
  const why = String(init).startsWith('pissa_niter')
    ? 'drew random numbers that the file does not hold'
    : 'needs data or a quantised base that the file does not hold';
  throw new AdapterError(
    `${where}: init_lora_weights is "${init}", which changed the base weight and ${why}; expected the changed base with base: 'changed', or the adapter converted when it was saved`,
  );
}

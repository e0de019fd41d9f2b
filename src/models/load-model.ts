/** loadModel: from a file or a folder's files to a model in memory. What does not fit is refused before its weights are read. */
import { Allocator } from '../engine/allocator.js';
import { OutOfMemoryError } from '../engine/errors.js';
import { checkText } from '../formats/check.js';
import type { ByteSource } from '../formats/source.js';
import { checkRuntime } from '../tensor/check-runtime.js';
import type { Parameter } from '../tensor/parameter.js';
import type { Runtime } from '../tensor/runtime.js';
import { checkInteger, checkOptions, checkSignal, describe } from '../values/checks.js';
import { DISPOSE } from '../values/dispose.js';
import type { HostAbortSignal } from '../values/globals.js';
import { CausalLM } from './causal-lm.js';
import type { ModelConfig } from './config.js';
import { fill, PIECE } from './load-weights.js';
import { type PlannedTensor, plannedBytes, planTensors, type WeightsOption } from './plan.js';
import type { OpenOptions } from './source/files.js';
import type { ModelSource } from './source/model-source.js';
import { openModel } from './source/open-model.js';
import type { ChatTemplate } from './text/chat-template.js';
import { textOf } from './text/of-source.js';
import type { TextTokenizer } from './text/text-tokenizer.js';
import { WeightMaker } from './weights.js';

/**
 * Where a model comes from: a GGUF file, or a folder as transformers writes it. By a path or an address (in Node; a folder over HTTP
 * ends with a slash), as a Blob, as `{ size, read }`, or as a Map of the folder's files by name (`config.json`, `model.safetensors`).
 */
export type ModelInput = string | ByteSource | ReadonlyMap<string, ByteSource>;

/** What `loadModel` takes beside the source. */
export interface LoadModelOptions {
  /**
   * Type of the matrices in memory: `'stored'`, as they lie in the file where tensors can have that type, else float32; or one
   * that they are expanded or rounded to, for `'q8_0'` and `'q4_0'` in blocks of 32. Norms and biases are float32. Default `'stored'`.
   */
  readonly weights?: WeightsOption;
  /** Tokens of a row at most: how long the table of rotary positions is. Default what the model allows, 8192 at most. */
  readonly maxLength?: number;
  /**
   * In place of the tokenizer of the model's files: one, or where a `tokenizer.json` lies, given as a model is; null for none. For a
   * GGUF file whose tokenizer is not rebuilt.
   */
  readonly tokenizer?: TextTokenizer | string | ByteSource | null;
  /** Told of the bytes so far, and of all there are, while a file is fetched (null where the server does not say) and while weights are read. */
  readonly onProgress?: (loaded: number, total: number | null, what: 'fetch' | 'read') => void;
  /** Ends the loading with the signal's reason. */
  readonly signal?: HostAbortSignal;
  /** Folder where files behind an address are kept, in Node. Default `lora-wasm` in the user's cache folder. */
  readonly cache?: string;
  /** SHA-256 of the file in hexadecimal digits, in Node: another file is refused before it is read. Default: any. */
  readonly sha256?: string;
}

/** A model with what it is used with. */
export interface LanguageModel {
  readonly model: CausalLM;
  readonly config: ModelConfig;
  /** Text to ids and back; null where the model's files hold none. */
  readonly tokenizer: TextTokenizer | null;
  /** Messages to text; null where the model's files hold no template. */
  readonly chat: ChatTemplate | null;
  /** Tokens that end a text. */
  readonly stopIds: readonly number[];
  /** Gives all of its memory back. Harmless when repeated. */
  dispose(): void;
  /** The same as `dispose`, for `using`. */
  [DISPOSE](): void;
}

const OPTIONS = ['weights', 'maxLength', 'tokenizer', 'onProgress', 'signal', 'cache', 'sha256'];
const WEIGHTS: readonly WeightsOption[] = ['stored', 'f32', 'f16', 'bf16', 'q8_0', 'q4_0'];
const DEFAULT_LENGTH = 8192;
/** Positions of a table at most. */
const LONGEST = 2 ** 20;

/**
 * Loads a language model of the Llama family; its parameters are frozen.
 * @param source - a GGUF file or a folder as transformers writes it. A file behind an http(s) address is fetched once, in Node, and
 * goes on where it stopped if it was cut; in a page it is read by Range
 * @throws FormatError for what the files do not allow; OutOfMemoryError before weights are read; TypeError, RangeError; errors of the
 * source. Nothing is left in memory then.
 * @example
 * const { model } = await loadModel(rt, 'models/SmolLM2-135M-Instruct.Q4_1.gguf');
 * const logits = model.forward(rt.tensor(new Int32Array([1, 2, 3]), [1, 3]));
 */
export async function loadModel(
  rt: Runtime,
  source: ModelInput,
  options: LoadModelOptions = {},
): Promise<LanguageModel> {
  const where = 'loadModel';
  checkRuntime(where, rt);
  checkLoadOptions(where, options);
  const opened = await openModel(where, source, { ...fetching(options), sha256: options.sha256 });
  return loadOpened(where, rt, opened, options);
}

/** How the model's files, and a tokenizer's, are fetched. */
function fetching({ cache, signal, onProgress }: LoadModelOptions): OpenOptions {
  return { cache, signal, onFetch: (loaded, total) => onProgress?.(loaded, total, 'fetch') };
}

/** @throws TypeError */
function checkLoadOptions(where: string, options: LoadModelOptions): void {
  checkOptions(where, options, OPTIONS);
  const { weights = 'stored', onProgress, signal, cache, sha256 } = options;
  if (!WEIGHTS.includes(weights))
    throw new TypeError(
      `${where}: weights is ${describe(weights)}, expected ${WEIGHTS.map((name) => `'${name}'`).join(', ')}`,
    );
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw new TypeError(`${where}: onProgress is ${describe(onProgress)}, expected a function`);
  checkSignal(where, signal);
  if (cache !== undefined) checkText(`${where}: cache`, cache);
  if (cache === '') throw new RangeError(`${where}: cache is '', expected the name of a folder`);
  if (sha256 === undefined) return;
  checkText(`${where}: sha256`, sha256);
  if (!/^[0-9a-f]{64}$/i.test(sha256))
    throw new RangeError(`${where}: sha256 is ${describe(sha256)}, expected 64 hexadecimal digits`);
}

/** @internal Loads what was opened, with checked options: everything is compared first, then memory is taken, then the weights are read. */
export async function loadOpened(
  where: string,
  rt: Runtime,
  source: ModelSource,
  options: LoadModelOptions,
): Promise<LanguageModel> {
  const { weights = 'stored', maxLength, tokenizer, onProgress, signal } = options;
  const { config } = source;
  const most = Math.min(config.maxPositionEmbeddings, LONGEST);
  const length = checkInteger(`${where}: maxLength`, maxLength ?? Math.min(most, DEFAULT_LENGTH), 1, most);
  signal?.throwIfAborted();
  const text = await textOf(where, source, tokenizer, fetching(options));
  const planned = planTensors(source, weights);
  checkRoom(where, rt, config, planned, length);
  const model = build(rt, config, planned, length);
  try {
    await fillAll(model.namedParameters(), planned, { onProgress, signal });
  } catch (error) {
    model.dispose();
    throw error;
  }
  const dispose = (): void => model.dispose();
  return { model: model.eval(), config, ...text, dispose, [DISPOSE]: dispose };
}

/** Refuses at once what cannot fit, whatever else lies in memory. @throws OutOfMemoryError */
function checkRoom(
  where: string,
  rt: Runtime,
  { headDim }: ModelConfig,
  planned: ReadonlyMap<string, PlannedTensor>,
  length: number,
): void {
  const table = 2 * Allocator.roundUp(4 * length * (headDim / 2));
  const wanted = plannedBytes(planned) + table;
  const { held } = rt.memory();
  const allowed = rt.engine.memoryLimit;
  if (held + wanted <= allowed) return;
  throw new OutOfMemoryError(
    wanted,
    held,
    allowed,
    `${where}: the model takes ${wanted} bytes, holding ${held}, allowed ${allowed}; expected a smaller model, or weights of a smaller type`,
  );
}

/** Makes the model, its parameters empty. @throws OutOfMemoryError; nothing is left behind then */
function build(
  rt: Runtime,
  config: ModelConfig,
  planned: ReadonlyMap<string, PlannedTensor>,
  length: number,
): CausalLM {
  const make = new WeightMaker(rt, (name) => planned.get(name)!.dtype);
  const { layers } = rt.engine;
  try {
    return new CausalLM(make, config, length);
  } catch (error) {
    make.disposeAll();
    throw error;
  } finally {
    // Nothing here is random: what is drawn next does not depend on the model's biases.
    rt.engine.layers = layers;
  }
}

async function fillAll(
  parameters: readonly (readonly [string, Parameter])[],
  planned: ReadonlyMap<string, PlannedTensor>,
  {
    onProgress,
    signal,
  }: { onProgress: LoadModelOptions['onProgress'] | undefined; signal: HostAbortSignal | undefined },
): Promise<void> {
  const jobs = parameters.map(([name, parameter]) => [parameter, planned.get(name)!.stored] as const);
  // In the order of the file.
  jobs.sort(([, a], [, b]) => a.begin - b.begin);
  const total = jobs.reduce((sum, [, { begin, end }]) => sum + end - begin, 0);
  let loaded = 0;
  const room = new Uint8Array(PIECE);
  for (const [parameter, stored] of jobs)
    await fill(parameter, stored, room, (bytes) => {
      signal?.throwIfAborted();
      loaded += bytes;
      onProgress?.(loaded, total, 'read');
    });
}

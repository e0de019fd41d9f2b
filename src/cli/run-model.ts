/** What `generate` and `eval` share: a runtime with the model and its adapters, for as long as a part of the command runs, and Ctrl-C. */
import { OutOfMemoryError } from '../engine/errors.js';
import type { LoraModel } from '../lora/lora-model.js';
import type { CausalLM } from '../models/causal-lm.js';
import { type LanguageModel, loadModel } from '../models/load-model.js';
import { createRuntime } from '../tensor/create-runtime.js';
import type { Runtime } from '../tensor/runtime.js';
import { FormatError } from '../values/format-error.js';
import { addAdapters, readAdapters } from './adapters.js';
import { CTRL_C, Interrupted } from './interrupted.js';
import type { ModelFlags } from './model-options.js';
import { UserError } from './name-errors.js';
import { progressBar } from './progress.js';

/**
 * Runs `use` with the model loaded, and gives everything back. The signal it gets is given by Ctrl-C; a second one ends the process.
 * @param own - the seed of the runtime; whether a model without a tokenizer will do
 * @throws Interrupted; UserError, errors of files, options and memory
 */
export async function withModel(
  flags: ModelFlags,
  use: (lm: LanguageModel, signal: AbortSignal, lora: LoraModel<CausalLM> | null) => Promise<void>,
  { seed, bare = false }: { readonly seed?: number; readonly bare?: boolean } = {},
): Promise<void> {
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(CTRL_C);
    controller.abort(new Interrupted('interrupted', CTRL_C));
  };
  process.on('SIGINT', interrupt);
  hearOutput(controller);
  let rt: Runtime | null = null;
  try {
    const { kernels, threads, maxMemory: maxMemoryMB } = flags;
    checkPaths(flags);
    const adapters = await readAdapters(flags.adapter ?? []);
    rt = await createRuntime({
      ...(seed === undefined ? {} : { seed }),
      kernels,
      threads,
      ...(maxMemoryMB === undefined ? {} : { maxMemoryMB }),
    });
    const lm = await load(rt, flags, controller.signal);
    if (lm.tokenizer === null && !bare)
      throw new UserError(`${flags.model}: the model has no tokenizer, expected one, or --tokenizer`);
    const lora = await addAdapters(lm, adapters);
    await use(lm, controller.signal, lora);
  } catch (error) {
    throw ofMemory(error, flags);
  } finally {
    rt?.dispose();
    // Behind a first Ctrl-C it stays: a second one, while the process ends, is of the same exit code.
    if (!controller.signal.aborted) process.off('SIGINT', interrupt);
  }
}

/** What errors of standard output end; null before the first run. */
let writing: AbortController | null = null;

/** Lets errors of standard output end a run. The listener stays, as the error of the last write comes when the run is over. */
function hearOutput(controller: AbortController): void {
  if (writing === null)
    process.stdout.on('error', (error: NodeJS.ErrnoException) =>
      // As behind `| head`: nobody reads what would be written.
      writing?.abort(error.code === 'EPIPE' ? new Interrupted('standard output is closed', 0) : error),
    );
  writing = controller;
}

/** `-` is no file name. @throws UserError */
function checkPaths({ model, tokenizer, cache }: ModelFlags): void {
  for (const [name, path] of [
    ['--model', model],
    ['--tokenizer', tokenizer],
  ])
    if (path === '' || path === '-')
      throw new UserError(`${name} is '${path}', expected a path or an address: standard input is not used`);
  if (cache === '') throw new UserError('--cache is empty, expected a folder');
}

/** An error of memory in the words of the command; another as it is. */
function ofMemory(error: unknown, { model, maxMemory }: ModelFlags): unknown {
  if (!(error instanceof OutOfMemoryError)) return error;
  const text = error.message.replace(/^\w+: (?:the model )?/, '').replace(/ \(maxMemoryMB \d+\)/, '');
  return new UserError(`${model}: ${text}${maxMemory === undefined ? '' : ` (--max-memory ${maxMemory})`}`);
}

async function load(
  rt: Runtime,
  { model: path, tokenizer, cache, sha256 }: ModelFlags,
  signal: AbortSignal,
): Promise<LanguageModel> {
  const bar = progressBar('model');
  try {
    return await loadModel(rt, path, {
      ...(tokenizer === undefined ? {} : { tokenizer }),
      ...(cache === undefined ? {} : { cache }),
      ...(sha256 === undefined ? {} : { sha256 }),
      signal,
      onProgress: bar.update,
    });
  } catch (error) {
    // The message names the file as a whole; of the call the user knows nothing.
    if (!(error instanceof FormatError || error instanceof TypeError)) throw error;
    const text = error.message
      .replace(/^loadModel: /, '')
      .replace(/^tokenizer: /, '--tokenizer: ')
      .replace('option tokenizer of loadModel', '--tokenizer')
      .replace(': sha256 is given', ': --sha256 is given');
    throw new FormatError(text, { cause: error });
  } finally {
    bar.end();
  }
}

/** What `generate` and `eval` share: a runtime with the model and its adapters, for as long as a part of the command runs, and Ctrl-C. */
import { readAdapter } from '../formats/read-adapter.js';
import { LoraModel } from '../lora/lora-model.js';
import type { CausalLM } from '../models/causal-lm.js';
import { type LanguageModel, loadModel } from '../models/load-model.js';
import { createRuntime } from '../tensor/create-runtime.js';
import type { Runtime } from '../tensor/runtime.js';
import { FormatError } from '../values/format-error.js';
import { readInput } from './files.js';
import { CTRL_C, Interrupted } from './interrupted.js';
import type { AdapterFlag, ModelFlags } from './model-options.js';
import { ofFile, UserError } from './name-errors.js';
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
    checkModelPath(flags.model);
    rt = await createRuntime({
      ...(seed === undefined ? {} : { seed }),
      kernels,
      threads,
      ...(maxMemoryMB === undefined ? {} : { maxMemoryMB }),
    });
    const lm = await load(rt, flags, controller.signal);
    if (lm.tokenizer === null && !bare)
      throw new UserError(`${flags.model}: the model has no tokenizer, expected one, or --tokenizer`);
    const lora = await addAdapters(lm, flags.adapter ?? []);
    await use(lm, controller.signal, lora);
  } finally {
    rt?.dispose();
    process.off('SIGINT', interrupt);
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
function checkModelPath(path: string): void {
  if (path === '' || path === '-')
    throw new UserError(`--model is '${path}', expected a path or an address: standard input is not used`);
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
    if (!(error instanceof FormatError)) throw error;
    const text = error.message
      .replace(/^loadModel: /, '')
      .replace('option tokenizer of loadModel', '--tokenizer');
    throw new FormatError(text, { cause: error });
  } finally {
    bar.end();
  }
}

/** Puts the adapters over the model, all of them active. */
async function addAdapters(
  { model }: LanguageModel,
  flags: readonly AdapterFlag[],
): Promise<LoraModel<CausalLM> | null> {
  if (flags.length === 0) return null;
  const lora = LoraModel.attach(model);
  const names: string[] = [];
  for (const [i, { path, scale }] of flags.entries()) {
    const { bytes, weights, config } = await readInput(path);
    const name = `adapter_${i + 1}`;
    await ofFile(weights, config, async () => {
      const file = await readAdapter(bytes);
      const peft = file.format === 'peft' && bytes.config !== null;
      const source = peft
        ? { config: new TextDecoder().decode(bytes.config!), weights: bytes.weights }
        : file;
      await lora.loadAdapter(name, source, { trainable: false });
    });
    lora.setScale(name, scale);
    names.push(name);
  }
  lora.setAdapter(names);
  return lora;
}

/** generate: token after token out of a model with a cache. `generateText`, the command and pages read by it. */
import { yieldToEvents } from '../engine/yield.js';
import { checkInteger, checkOptions, checkSignal, describe } from '../values/checks.js';
import type { HostAbortSignal } from '../values/globals.js';
import { CausalLM } from './causal-lm.js';
import { checkIds } from './check-ids.js';
import type { KvCache } from './kv-cache.js';
import { SAMPLING_OPTIONS, Sampler, type SamplingOptions } from './sampling.js';

/** What `generate` takes beside model and prompt. */
export interface GenerateOptions extends SamplingOptions {
  /** Tokens that are written at most. Default 256, or as many as the model's length leaves room for. */
  readonly maxTokens?: number;
  /** Tokens that end the text; they are not given. Default none. */
  readonly stopIds?: Iterable<number>;
  /** Ends the writing with the signal's reason, between two tokens. */
  readonly signal?: HostAbortSignal;
}

export const GENERATE_OPTIONS = [...SAMPLING_OPTIONS, 'maxTokens', 'stopIds', 'signal'];
const MAX_TOKENS = 256;
/** Tokens of the prompt that are read at once: what lies in memory between layers does not grow with the prompt. */
const PIECE = 256;

/**
 * Writes on: the ids that follow a prompt, one by one. Between two tokens the event loop has a turn. Memory is taken at the first
 * token, a cache as long as prompt and `maxTokens`, and given back at the end, also where a loop is left early.
 *
 * With `temperature` 0 each token is the likeliest. Else tokens are drawn: `seed` decides which, in the same way in every engine;
 * the logits themselves may differ in their last bits between kernel builds (`rt.info().kernels`) and counts of threads do not matter.
 * @param prompt - ids, one at least, each below the vocabulary's size
 * @throws TypeError, RangeError at once; the signal's reason, OutOfMemoryError while writing
 * @example
 * for await (const id of generate(model, [1, 2, 3], { maxTokens: 20 })) console.log(id);
 */
export function generate(
  model: CausalLM,
  prompt: ArrayLike<number>,
  options: GenerateOptions = {},
): AsyncGenerator<number, void, undefined> {
  return generateAs('generate', model, prompt, options).tokens;
}

/** The same for a function of another name, with the count of tokens at most. @throws TypeError, RangeError */
export function generateAs(
  where: string,
  model: CausalLM,
  prompt: ArrayLike<number>,
  options: GenerateOptions,
): { tokens: AsyncGenerator<number, void, undefined>; maxTokens: number } {
  checkModel(where, model);
  checkOptions(where, options, GENERATE_OPTIONS);
  const { vocabSize } = model.config;
  const ids = checkIds(`${where}: prompt`, prompt, vocabSize);
  const room = model.maxLength - ids.length;
  if (ids.length === 0 || room < 1)
    throw new RangeError(
      `${where}: prompt has ${ids.length} tokens, expected 1 to ${model.maxLength - 1} (maxLength of loadModel is ${model.maxLength})`,
    );
  const { maxTokens = Math.min(MAX_TOKENS, room), stopIds = [], signal } = options;
  checkInteger(
    `${where}: maxTokens (prompt of ${ids.length}, maxLength ${model.maxLength})`,
    maxTokens,
    1,
    room,
  );
  checkSignal(where, signal);
  const stops = new Set(checkIds(`${where}: stopIds`, stopIds, Number.POSITIVE_INFINITY));
  const sampler = new Sampler(where, options, ids);
  return { tokens: written(model, ids, { sampler, stops, maxTokens, signal }), maxTokens };
}

interface Writing {
  readonly sampler: Sampler;
  readonly stops: ReadonlySet<number>;
  readonly maxTokens: number;
  readonly signal: HostAbortSignal | undefined;
}

async function* written(
  model: CausalLM,
  prompt: Int32Array<ArrayBuffer>,
  { sampler, stops, maxTokens, signal }: Writing,
): AsyncGenerator<number, void, undefined> {
  signal?.throwIfAborted();
  const cache = model.cache(prompt.length + maxTokens);
  const logits = new Float32Array(model.config.vocabSize);
  try {
    for (let at = 0; at < prompt.length; at += PIECE) {
      if (at > 0) await turn(signal);
      read(model, prompt.slice(at, at + PIECE), cache, logits);
    }
    for (let count = 1; ; count++) {
      const id = sampler.next(logits);
      if (stops.has(id)) return;
      yield id;
      if (count === maxTokens) return;
      await turn(signal);
      read(model, Int32Array.of(id), cache, logits);
    }
  } finally {
    cache.dispose();
  }
}

/** A turn of the event loop, in which a signal may be given. */
async function turn(signal: HostAbortSignal | undefined): Promise<void> {
  await yieldToEvents();
  signal?.throwIfAborted();
}

/** Reads ids on; `logits` become those of the last. */
function read(model: CausalLM, ids: Int32Array<ArrayBuffer>, cache: KvCache, logits: Float32Array): void {
  const { runtime } = model;
  runtime.scope(() => {
    model.decode(runtime.tensor(ids, [1, ids.length]), cache).copyTo(logits);
  });
}

/** @throws TypeError */
export function checkModel(where: string, model: unknown): asserts model is CausalLM {
  if (!(model instanceof CausalLM))
    throw new TypeError(`${where}: model is ${describe(model)}, expected a CausalLM`);
}

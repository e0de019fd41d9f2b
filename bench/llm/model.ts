/**
 * The whole model of `--model`: a prompt and what is written after it, as `generate` does it, over the weights as they lie in the
 * file on one thread and on two, and the same prompt over float32. Verified first; ceilings in the same rounds.
 */
import { type CausalLM, generate } from 'lora-wasm/models';
import { summarise } from '../core/measure.js';
import type { Environment } from '../suite.js';
import { type Contestant, PLAIN, randomIds } from './contestants.js';
import type { Golden } from './golden.js';
import { textFlops } from './sizes.js';
import { againstPlain, type ModelRow, modelRow, takeTurns } from './turns.js';
import { alike } from './verify.js';

export const PROMPT = 'prompt';
export const GENERATION = 'generation';
type Operation = typeof PROMPT | typeof GENERATION;

interface Lengths {
  readonly read: number;
  readonly written: number;
  readonly rounds: number;
}
export const FULL: Lengths = { read: 256, written: 64, rounds: 7 };
const QUICK: Lengths = { read: 16, written: 4, rounds: 2 };

/** @throws Error when a form writes something else */
export async function textRows(
  { model, quick, progress }: Environment,
  contestants: readonly Contestant[],
): Promise<ModelRow[]> {
  const lengths = quick ? QUICK : FULL;
  const prompt = randomIds(contestants[0]!, lengths.read);
  progress('verifying the model');
  alike(
    'logit',
    contestants,
    contestants.map((one) => logitsOf(one, prompt)),
  );
  if (model!.golden !== null) for (const one of contestants) await verifyText(one, model!.golden.greedy);
  return timed(contestants, prompt, lengths, progress);
}

/** The last logits of a prompt. */
function logitsOf({ rt, language: { model } }: Contestant, prompt: Int32Array<ArrayBuffer>): Float32Array {
  const cache = model.cache(prompt.length);
  const logits = rt.scope(() =>
    model
      .decode(rt.tensor(prompt, [1, prompt.length]), cache)
      .copyTo(new Float32Array(model.config.vocabSize)),
  );
  cache.dispose();
  return logits;
}

/** @throws Error when it writes another text */
async function verifyText(
  { language: { model, tokenizer }, weights }: Contestant,
  { prompt, text, tokens }: Golden['greedy'],
): Promise<void> {
  if (tokenizer === null) throw new Error('verify: the model has no tokenizer, expected one');
  const ids: number[] = [];
  for await (const id of generate(model, tokenizer.encode(prompt), { maxTokens: tokens })) ids.push(id);
  const got = tokenizer.decode(ids);
  if (got !== text)
    throw new Error(
      `verify: ${weights}: the model wrote ${JSON.stringify(got)}, expected ${JSON.stringify(text)}`,
    );
}

/** Reads the prompt and writes on: milliseconds to the first token, and from there to the last. */
async function write(
  model: CausalLM,
  prompt: Int32Array<ArrayBuffer>,
  written: number,
): Promise<Record<Operation, number>> {
  const times: number[] = [performance.now()];
  for await (const _ of generate(model, prompt, { maxTokens: written + 1 })) times.push(performance.now());
  return { [PROMPT]: times[1]! - times[0]!, [GENERATION]: times.at(-1)! - times[1]! };
}

async function timed(
  contestants: readonly Contestant[],
  prompt: Int32Array<ArrayBuffer>,
  { read, written, rounds }: Lengths,
  progress: (text: string) => void,
): Promise<ModelRow[]> {
  const all = await takeTurns(
    contestants,
    rounds,
    (round) => progress(`the model, ${round}`),
    ({ language, weights }) => write(language.model, prompt, weights === PLAIN ? 0 : written),
  );
  const plain = all.find(({ of }) => of.weights === PLAIN)!;
  return all.flatMap(({ of, results, ceilings }) => {
    const flops = textFlops(of.language.config, read);
    const rowOf = (operation: Operation, tokens: number): ModelRow => {
      const timing = summarise(results.map((ms) => ms[operation]));
      const prompts = summarise(plain.results.map((ms) => ms[PROMPT]));
      const against = operation === PROMPT ? againstPlain(of, PROMPT, timing, prompts) : {};
      return modelRow(of, operation, tokens, { timing, ceilings, flops: flops[operation] }, against);
    };
    const prompts = rowOf(PROMPT, read);
    return of.weights === PLAIN ? [prompts] : [prompts, rowOf(GENERATION, written)];
  });
}

/**
 * The whole model of `--model`: a prompt and what is written after it, as `generate` does it, over the weights as they lie in the
 * file on one thread and on two, and the same prompt over float32. Verified first; ceilings in the same rounds.
 */
import { type CausalLM, generate } from 'lora-wasm/models';
import { pairedRatio, summarise } from '../core/measure.js';
import type { Environment } from '../suite.js';
import { type Contestant, nameOf, PLAIN, randomIds, STORED } from './contestants.js';
import type { Golden } from './golden.js';
import { type ModelRow, modelRow, modelTitle, takeTurns } from './turns.js';

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
/** Of the largest logit: what two forms of the same weights may differ by. */
const CLOSE = 1e-4;

/** @throws Error when a form writes something else */
export async function textRows(
  { model, quick, progress }: Environment,
  contestants: readonly Contestant[],
): Promise<ModelRow[]> {
  const lengths = quick ? QUICK : FULL;
  const prompt = randomIds(contestants[0]!, lengths.read);
  progress('verifying the model');
  verifyAlike(contestants, prompt);
  if (model!.golden !== null) for (const one of contestants) await verifyText(one, model!.golden.greedy);
  return timed(contestants, prompt, lengths, progress);
}

/** All forms give the same logits, one thread and several the same bits. @throws Error */
function verifyAlike(contestants: readonly Contestant[], prompt: Int32Array<ArrayBuffer>): void {
  const all = contestants.map(({ rt, language: { model } }) => {
    const cache = model.cache(prompt.length);
    const logits = rt.scope(() =>
      model
        .decode(rt.tensor(prompt, [1, prompt.length]), cache)
        .copyTo(new Float32Array(model.config.vocabSize)),
    );
    cache.dispose();
    return logits;
  });
  const first = all[0]!;
  const largest = first.reduce((most, logit) => Math.max(most, Math.abs(logit)), 0);
  if (!(largest > 0 && largest < Number.POSITIVE_INFINITY))
    throw new Error(`verify: the largest logit is ${largest}, expected one above 0`);
  for (const [i, one] of contestants.entries()) {
    const bound = one.weights === PLAIN ? CLOSE * largest : 0;
    const wrong = all[i]!.findIndex((logit, j) => !(Math.abs(logit - first[j]!) <= bound));
    if (wrong < 0) continue;
    throw new Error(
      `verify: ${nameOf(one)}, logit ${wrong} is ${all[i]![wrong]}, expected ${first[wrong]} of one thread within ${bound}`,
    );
  }
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
    const flops = flopsOf(of.language.model, read);
    const rowOf = (operation: Operation, tokens: number): ModelRow => {
      const timing = summarise(results.map((ms) => ms[operation]));
      const compared = operation === PROMPT && of.weights === STORED && of.rt.info().threads === 1;
      const ratio = pairedRatio(timing, { rounds: plain.results.map((ms) => ms[PROMPT]) });
      const against = compared ? { ratio, flopRatio: 1, ratioTo: modelTitle(PROMPT, PLAIN) } : {};
      return modelRow(of, operation, tokens, { timing, ceilings, flops: flops[operation] }, against);
    };
    const prompts = rowOf(PROMPT, read);
    return of.weights === PLAIN ? [prompts] : [prompts, rowOf(GENERATION, written)];
  });
}

/**
 * A token's flops: of a prompt the layers' matrices and the half of attention that the mask leaves (its head runs once); of
 * generation the matrices and the head, as what a token must at least do. SmolLM2: 0.221 and 0.269 GFLOP.
 */
export function flopsOf(model: CausalLM, read: number): Record<Operation, number> {
  const { numHiddenLayers, numAttentionHeads, headDim, vocabSize, hiddenSize } = model.config;
  const matrices = model
    .namedParameters()
    .filter(([name, { shape }]) => name.startsWith('model.layers.') && shape.length === 2)
    .reduce((sum, [, { size }]) => sum + size, 0);
  const attention = 2 * numHiddenLayers * numAttentionHeads * headDim * (read + 1);
  return { [PROMPT]: 2 * matrices + attention, [GENERATION]: 2 * (matrices + vocabSize * hiddenSize) };
}

/**
 * The whole model of `--model`: a prompt and what is written after it, as `generate` does it, over the weights as they lie in the
 * file on one thread and on two, and the same prompt over float32. Verified first; ceilings in the same rounds.
 */
import type { Runtime } from 'lora-wasm';
import { Random } from '../../reference/random.js';
import { type CausalLM, generate, type LanguageModel, loadModel } from '../../src/models/index.js';
import { pairedRatio, summarise } from '../core/measure.js';
import { ownRow, type Row } from '../core/records.js';
import type { SharedCeiling } from '../core/shared-ceiling.js';
import type { Environment } from '../suite.js';

export const PROMPT = 'prompt';
export const GENERATION = 'generation';
type Operation = typeof PROMPT | typeof GENERATION;
export const STORED = 'weights as stored';
export const PLAIN = 'weights in float32';

/** A row of the whole model. */
export interface ModelRow extends Row {
  readonly tokens: number;
  /** GFLOP/s of the build's register-only loop in each round, all threads of the row at work. */
  readonly ceilings: number[];
}

export const isModelRow = (row: Row): row is ModelRow => 'tokens' in row;

/** Tokens a second in each round. */
export const speedsOf = ({ tokens, rounds }: ModelRow): number[] => rounds.map((ms) => (1000 * tokens) / ms);
/** Percent of the ceiling of its own round, in each. */
export const percentsOf = ({ gflops, median, rounds, ceilings }: ModelRow): number[] =>
  rounds.map((ms, i) => (100 * gflops * median) / ms / ceilings[i]!);

interface Lengths {
  readonly read: number;
  readonly written: number;
  readonly rounds: number;
}
export const FULL: Lengths = { read: 256, written: 64, rounds: 7 };
const QUICK: Lengths = { read: 16, written: 4, rounds: 2 };
/** Of the largest logit: what two forms of the same weights may differ by. */
const CLOSE = 1e-4;

/** One who writes. */
interface Contestant {
  readonly rt: Runtime;
  readonly weights: typeof STORED | typeof PLAIN;
  readonly language: LanguageModel;
  readonly ceiling: SharedCeiling;
}

export const modelTitle = (operation: Operation, weights: string): string => `${operation}, ${weights}`;
export const modelShape = (tokens: number, threads: number): string =>
  `${tokens} tokens, ${threads === 1 ? '1 thread' : `${threads} threads`}`;

/** No rows without a model, or where none of them is wanted. @throws Error when a form writes something else */
export async function modelRows(environment: Environment): Promise<ModelRow[]> {
  const { rt, model, threads, quick, wanted, progress, runtimeOf, ceilingOf } = environment;
  if (model === null || ![PROMPT, GENERATION].some((operation) => wanted(operation))) return [];
  const lengths = quick ? QUICK : FULL;
  const contestants: Contestant[] = [];
  const join = async (runtime: Runtime, weights: Contestant['weights']): Promise<void> => {
    progress(`loading the model, ${weights}, threads: ${runtime.info().threads}`);
    const language = await loadModel(runtime, model.source, weights === PLAIN ? { weights: 'f32' } : {});
    contestants.push({ rt: runtime, weights, language, ceiling: await ceilingOf(runtime.info().threads) });
  };
  try {
    await join(rt, STORED);
    if (threads > 1) await join(await runtimeOf(2), STORED);
    await join(rt, PLAIN);
    const prompt = idsOf(contestants[0]!, lengths.read);
    progress('verifying the model');
    verifyAlike(contestants, prompt);
    if (model.greedy !== null) for (const one of contestants) await verifyText(one, model.greedy);
    return await timed(contestants, prompt, lengths, progress);
  } finally {
    for (const { language } of contestants) language.dispose();
  }
}

function idsOf({ language: { config } }: Contestant, count: number): Int32Array<ArrayBuffer> {
  const random = new Random(1);
  return Int32Array.from({ length: count }, () => random.below(config.vocabSize));
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
  for (const [i, { rt, weights }] of contestants.entries()) {
    const bound = weights === PLAIN ? CLOSE * largest : 0;
    const wrong = all[i]!.findIndex((logit, j) => !(Math.abs(logit - first[j]!) <= bound));
    if (wrong < 0) continue;
    const what = `${weights}, threads: ${rt.info().threads}, logit ${wrong}`;
    throw new Error(
      `verify: ${what} is ${all[i]![wrong]}, expected ${first[wrong]} of one thread within ${bound}`,
    );
  }
}

/** @throws Error when it writes another text */
async function verifyText(
  { language: { model, tokenizer }, weights }: Contestant,
  { prompt, text, tokens }: NonNullable<Environment['model']>['greedy'] & {},
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
  const runs = contestants.map((one) => ({
    ...one,
    [PROMPT]: [] as number[],
    [GENERATION]: [] as number[],
    ceilings: [] as number[],
  }));
  // One round before the first is no figure: the engine's best compiler sees all.
  for (let round = -1; round < rounds; round++) {
    progress(`the model, round ${round + 1} of ${rounds}`);
    for (const run of round % 2 === 0 ? runs : [...runs].reverse()) {
      const ceiling = run.ceiling.measure();
      const ms = await write(run.language.model, prompt, run.weights === PLAIN ? 0 : written);
      if (round < 0) continue;
      run.ceilings.push(ceiling);
      run[PROMPT].push(ms[PROMPT]);
      run[GENERATION].push(ms[GENERATION]);
    }
  }
  const plain = runs.find(({ weights }) => weights === PLAIN)!;
  return runs.flatMap((run) => {
    const flops = flopsOf(run.language.model, read);
    const rowOf = (operation: Operation, tokens: number): ModelRow => {
      const timing = summarise(run[operation]);
      const { threads } = run.rt.info();
      const ratio = operation === PROMPT && run.weights === STORED && threads === 1;
      const against = {
        ratio: pairedRatio(timing, { rounds: plain[PROMPT] }),
        ...{ flopRatio: 1, ratioTo: modelTitle(PROMPT, PLAIN) },
      };
      const at = [modelTitle(operation, run.weights), modelShape(tokens, threads)] as const;
      const row = ownRow(run.rt, at, timing, tokens * flops[operation], null, ratio ? against : {});
      const whole = { ...row, tokens, ceilings: run.ceilings };
      return { ...whole, percentOfCeiling: summarise(percentsOf(whole)).median };
    };
    const prompts = rowOf(PROMPT, read);
    return run.weights === PLAIN ? [prompts] : [prompts, rowOf(GENERATION, written)];
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

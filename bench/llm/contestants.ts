/** The model of `--model` as it takes part: over the weights as they lie in the file, on one thread and on two, and over float32. */
import type { Runtime } from 'lora-wasm';
import { type LanguageModel, loadModel } from 'lora-wasm/models';
import { Random } from '../../reference/random.js';
import type { SharedCeiling } from '../core/shared-ceiling.js';
import type { Environment } from '../suite.js';

export const STORED = 'weights as stored';
export const PLAIN = 'weights in float32';

/** One who reads, writes and learns. */
export interface Contestant {
  readonly rt: Runtime;
  readonly weights: typeof STORED | typeof PLAIN;
  readonly language: LanguageModel;
  readonly ceiling: SharedCeiling;
}

/** Neighbours in the list are neighbours in time: float32 lies beside what it is compared with. @throws what loading throws */
export async function loadContestants(environment: Environment): Promise<Contestant[]> {
  const { rt, model, threads, progress, runtimeOf, ceilingOf } = environment;
  const contestants: Contestant[] = [];
  const join = async (runtime: Runtime, weights: Contestant['weights']): Promise<void> => {
    progress(`loading the model, ${weights}, threads: ${runtime.info().threads}`);
    const language = await loadModel(runtime, model!.source, weights === PLAIN ? { weights: 'f32' } : {});
    contestants.push({ rt: runtime, weights, language, ceiling: await ceilingOf(runtime.info().threads) });
  };
  try {
    await join(rt, STORED);
    await join(rt, PLAIN);
    if (threads > 1) await join(await runtimeOf(2), STORED);
    return contestants;
  } catch (error) {
    disposeAll(contestants);
    throw error;
  }
}

export function disposeAll(contestants: readonly Contestant[]): void {
  for (const { language } of contestants) language.dispose();
}

/** Random tokens, the same every time. */
export function randomIds({ language: { config } }: Contestant, count: number): Int32Array<ArrayBuffer> {
  const random = new Random(1);
  return Int32Array.from({ length: count }, () => random.below(config.vocabSize));
}

/** As errors name it. */
export const nameOf = ({ rt, weights }: Contestant): string => `${weights}, threads: ${rt.info().threads}`;

/**
 * Steps of LoRA training by the model of `--model`, over the weights as stored on one thread and on two, and over float32: verified
 * against the golden losses where they are known, and against each other, before they are timed and behind it.
 */
import { LoraModel } from 'lora-wasm';
import type { CausalLM } from '../../src/models/index.js';
import { pairedRatio, summarise, type Timing } from '../core/measure.js';
import type { Environment } from '../suite.js';
import { type Contestant, nameOf, PLAIN, randomIds, STORED } from './contestants.js';
import type { Golden } from './golden.js';
import { type Batch, Learner, type Stepped, stepFlopsSum } from './step.js';
import { type ModelRow, modelRow, modelTitle, takeTurns } from './turns.js';

export const TRAINING = 'training';
/** Tokens of a step. */
export const TRAINED = 256;
const FULL = { trained: TRAINED, rounds: 7 };
const QUICK = { trained: 16, rounds: 2 };
/** Of the largest gradient, and of loss and norm: what two forms of the same weights may differ by. */
const CLOSE = 1e-4;

interface Trainee extends Contestant {
  readonly learner: Learner;
}

type Adapted = Contestant & { readonly lora: LoraModel<CausalLM> };

/** The models are gone behind it. @throws Error when a form learns something else */
export async function trainingRows(
  { model, quick, progress }: Environment,
  contestants: readonly Contestant[],
): Promise<ModelRow[]> {
  const adapted = contestants.map((one) => ({ ...one, lora: LoraModel.attach(one.language.model) }));
  const trainees: Trainee[] = [];
  try {
    progress('verifying the training');
    if (model!.golden !== null) await verifyGolden(adapted[0]!, model!.golden);
    for (const one of adapted) trainees.push({ ...one, learner: Learner.fresh(one.rt, one.lora) });
    return await timed(trainees, quick ? QUICK : FULL, progress);
  } finally {
    for (const { learner } of trainees) learner.dispose();
    for (const { lora } of adapted) lora.dispose();
  }
}

async function timed(
  trainees: readonly Trainee[],
  { trained, rounds }: typeof FULL,
  progress: (text: string) => void,
): Promise<ModelRow[]> {
  const ids = randomIds(trainees[0]!, trained);
  const batch: Batch = { ids, labels: ids, shape: [1, trained] };
  const first = verifyAlike(trainees, batch);
  const all = await takeTurns(
    trainees,
    rounds,
    (round) => progress(`training, ${round}`),
    async ({ learner }) => {
      const start = performance.now();
      const { loss } = learner.step(batch);
      return { loss, ms: performance.now() - start };
    },
  );
  for (const { of, results } of all) verifyLearnt(of, first, results.at(-1)!.loss);
  verifyBits('after the last step', trainees);
  const plain = all.find(({ of }) => of.weights === PLAIN)!;
  const timingOf = (results: readonly { ms: number }[]): Timing => summarise(results.map(({ ms }) => ms));
  return all.map(({ of, results, ceilings }) => {
    const flops = stepFlopsSum(of.language.config, trained);
    const timing = timingOf(results);
    const compared = of.weights === STORED && of.rt.info().threads === 1;
    const ratio = pairedRatio(timing, timingOf(plain.results));
    const against = compared ? { ratio, flopRatio: 1, ratioTo: modelTitle(TRAINING, PLAIN) } : {};
    return modelRow(of, TRAINING, trained, { timing, ceilings, flops }, against);
  });
}

/** Two steps from PEFT's adapter on: their losses, and the norm of the first one's gradients. @throws Error */
async function verifyGolden(
  one: Adapted,
  { ids, labels, shape, losses, norms, adapter }: Golden,
): Promise<void> {
  const learner = await Learner.from(one.rt, one.lora, bytesOf(adapter));
  const batch: Batch = { ids: Int32Array.from(ids), labels: Int32Array.from(labels), shape };
  for (const [i, wanted] of losses.slice(0, 2).entries()) {
    const { loss, norm } = learner.step(batch);
    const [lossBound, normBound] = [2e-5 + 1e-3 * wanted, 5e-5 + 3e-3 * norms[i]!];
    within(`the golden loss of step ${i}`, one, loss, wanted, lossBound);
    within(`the golden norm of step ${i}`, one, norm, norms[i]!, normBound);
  }
  learner.dispose();
}

function bytesOf(texts: Golden['adapter']) {
  const bytes = (text: string): Uint8Array<ArrayBuffer> =>
    Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return {
    'adapter_config.json': bytes(texts.config),
    'adapter_model.safetensors': bytes(texts.weights),
  };
}

function within(what: string, one: Contestant, got: number, wanted: number, bound: number): void {
  if (Math.abs(got - wanted) <= bound) return;
  throw new Error(`verify: ${what}: ${nameOf(one)}: ${got}, expected ${wanted} within ${bound}`);
}

/** A step of each: loss, norm, gradients; several threads the same bits, also of what AdamW left. @returns the loss @throws Error */
function verifyAlike(trainees: readonly Trainee[], batch: Batch): number {
  const steps: (Stepped & { gradients: Float32Array })[] = trainees.map(({ learner }) => {
    const stepped = learner.step(batch);
    return { ...stepped, gradients: learner.gradients() };
  });
  const first = steps[0]!;
  const largest = first.gradients.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (!(largest > 0 && first.loss > 0 && first.norm < Number.POSITIVE_INFINITY))
    throw new Error(
      `verify: training: the loss is ${first.loss}, the largest gradient ${largest}, expected both above 0`,
    );
  for (const [i, one] of trainees.entries()) {
    const { loss, norm, gradients } = steps[i]!;
    const close = one.weights === PLAIN ? CLOSE : 0;
    within('the loss of a step', one, loss, first.loss, close * first.loss);
    within("the gradients' norm of a step", one, norm, first.norm, close * first.norm);
    const wrong = gradients.findIndex(
      (value, j) => !(Math.abs(value - first.gradients[j]!) <= close * largest),
    );
    if (wrong >= 0)
      within(`gradient ${wrong}`, one, gradients[wrong]!, first.gradients[wrong]!, close * largest);
  }
  verifyBits('after a step', trainees);
  return first.loss;
}

/** Over the weights as stored all threads leave the same. @throws Error */
function verifyBits(when: string, trainees: readonly Trainee[]): void {
  const [first, ...others] = trainees.filter(({ weights }) => weights === STORED);
  const wanted = first!.learner.values();
  for (const one of others) {
    const got = one.learner.values();
    const wrong = got.findIndex((value, i) => value !== wanted[i]);
    if (wrong >= 0) within(`adapter's number ${wrong} ${when}`, one, got[wrong]!, wanted[wrong]!, 0);
  }
}

/** @throws Error unless the loss fell */
function verifyLearnt(one: Contestant, first: number, last: number): void {
  if (!(last < first))
    throw new Error(
      `verify: training: ${nameOf(one)}: the loss went from ${first} to ${last}, expected less`,
    );
}

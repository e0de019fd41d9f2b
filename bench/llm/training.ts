/**
 * Steps of LoRA training by the model of `--model`, over the weights as stored on one thread and on two, and over float32, and by
 * PyTorch and PEFT where `--python` names them: verified against the golden losses where they are known, and against each other, before
 * they are timed and behind it.
 */
import { LoraModel } from 'lora-wasm';
import type { CausalLM } from 'lora-wasm/models';
import { pairedRatio, summarise, type Timing } from '../core/measure.js';
import type { SharedCeiling } from '../core/shared-ceiling.js';
import type { Environment } from '../suite.js';
import { type Contestant, nameOf, PLAIN, randomIds, STORED } from './contestants.js';
import type { Golden } from './golden.js';
import { type Batch, Learner, type Native, type Stepped, stepFlopsSum } from './step.js';
import { type ModelRow, modelRow, modelTitle, takeTurns } from './turns.js';

export const TRAINING = 'training';
export const PYTORCH = 'pytorch+peft';
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
  const natives: Native[] = [];
  try {
    progress('verifying the training');
    if (model!.golden !== null) await verifyGolden(adapted[0]!, model!.golden);
    for (const one of adapted) trainees.push({ ...one, learner: Learner.fresh(one.rt, one.lora) });
    const sizes = quick ? QUICK : FULL;
    const ids = randomIds(adapted[0]!, sizes.trained);
    for (const { rt, learner } of model!.startNative ? trainees.filter(isStored) : []) {
      const { threads } = rt.info();
      progress(`loading the model in PyTorch, threads: ${threads}`);
      natives.push(await model!.startNative!(threads, learner.files(), ids));
    }
    return await timed(trainees, natives, { ids, ...sizes }, progress);
  } finally {
    for (const native of natives) native.close();
    for (const { learner } of trainees) learner.dispose();
    for (const { lora } of adapted) lora.dispose();
  }
}

async function timed(
  trainees: readonly Trainee[],
  natives: readonly Native[],
  { ids, trained, rounds }: typeof FULL & { readonly ids: Batch['ids'] },
  progress: (text: string) => void,
): Promise<ModelRow[]> {
  const batch: Batch = { ids, labels: ids, shape: [1, trained] };
  const first = verifyAlike(trainees, batch);
  for (const native of natives) await verifyNative(native, first);
  const turns = await takeTurns(
    partiesOf(trainees, natives, batch),
    rounds,
    (round) => progress(`training, ${round}`),
    ({ step }) => step(),
  );
  for (const { of, results } of turns) verifyLearnt(of.name, first.loss, results.at(-1)!.loss);
  const all = turns.flatMap(({ of: { trainee }, ...rest }) =>
    trainee === null ? [] : [{ of: trainee, ...rest }],
  );
  verifyBits('after the last step', trainees);
  const plain = all.find(({ of }) => of.weights === PLAIN)!;
  const timingOf = (results: readonly { ms: number }[]): Timing => summarise(results.map(({ ms }) => ms));
  const flops = stepFlopsSum(trainees[0]!.language.config, trained);
  const own = all.map(({ of, results, ceilings }) => {
    const timing = timingOf(results);
    const compared = of.weights === STORED && of.rt.info().threads === 1;
    const ratio = pairedRatio(timing, timingOf(plain.results));
    const against = compared ? { ratio, flopRatio: 1, ratioTo: modelTitle(TRAINING, PLAIN) } : {};
    return modelRow(of, TRAINING, trained, { timing, ceilings, flops }, against);
  });
  const others = turns.flatMap(({ of: { native }, results }) =>
    native === null ? [] : [nativeRow(native, trained, timingOf(results), flops)],
  );
  return [...own, ...(await Promise.all(others))];
}

const isStored = ({ weights }: Contestant): boolean => weights === STORED;

/** Who takes turns: one or the other. */
interface Party {
  readonly name: string;
  readonly trainee: Trainee | null;
  readonly native: Native | null;
  readonly ceiling: SharedCeiling | null;
  readonly step: () => Promise<{ readonly loss: number; readonly ms: number }>;
}

/** Beside each over the weights as stored, who has as many threads. */
function partiesOf(trainees: readonly Trainee[], natives: readonly Native[], batch: Batch): Party[] {
  const left = [...natives];
  return trainees.flatMap((trainee): Party[] => {
    const own = {
      ...{ name: nameOf(trainee), trainee, native: null, ceiling: trainee.ceiling },
      step: async () => {
        const start = performance.now();
        const { loss } = trainee.learner.step(batch);
        return { loss, ms: performance.now() - start };
      },
    };
    if (!isStored(trainee) || left.length === 0) return [own];
    const native = left.shift()!;
    const name = `${PYTORCH}, threads: ${native.threads}`;
    return [{ name, trainee: null, native, ceiling: null, step: native.step }, own];
  });
}

async function nativeRow(native: Native, tokens: number, timing: Timing, flops: number): Promise<ModelRow> {
  const { threads, version } = native;
  const resident = await native.resident();
  return modelRow(
    { rt: { info: () => ({ kernels: 'native', threads }) }, weights: PLAIN },
    TRAINING,
    tokens,
    { timing, ceilings: [], flops },
    { contestant: PYTORCH, version, ...(resident !== null && { resident }) },
  );
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
    within(`the golden loss of step ${i}`, nameOf(one), loss, wanted, lossBound);
    within(`the golden norm of step ${i}`, nameOf(one), norm, norms[i]!, normBound);
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

/** @throws Error */
function within(what: string, who: string, got: number, wanted: number, bound: number): void {
  if (Math.abs(got - wanted) <= bound) return;
  throw new Error(`verify: ${what}: ${who}: ${got}, expected ${wanted} within ${bound}`);
}

/** A step of each: loss, norm, gradients; several threads the same bits, also of what AdamW left. @returns the first's @throws Error */
function verifyAlike(trainees: readonly Trainee[], batch: Batch): Stepped {
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
    within('the loss of a step', nameOf(one), loss, first.loss, close * first.loss);
    within("the gradients' norm of a step", nameOf(one), norm, first.norm, close * first.norm);
    const wrong = gradients.findIndex(
      (value, j) => !(Math.abs(value - first.gradients[j]!) <= close * largest),
    );
    if (wrong >= 0)
      within(`gradient ${wrong}`, nameOf(one), gradients[wrong]!, first.gradients[wrong]!, close * largest);
  }
  verifyBits('after a step', trainees);
  return first;
}

/** The same step. @throws Error */
async function verifyNative(native: Native, first: Stepped): Promise<void> {
  const { loss, norm } = await native.step();
  const who = `${PYTORCH}, threads: ${native.threads}`;
  within('the loss of a step', who, loss, first.loss, CLOSE * first.loss);
  within("the gradients' norm of a step", who, norm, first.norm, 10 * CLOSE * first.norm);
}

/** Over the weights as stored all threads leave the same. @throws Error */
function verifyBits(when: string, trainees: readonly Trainee[]): void {
  const [first, ...others] = trainees.filter(({ weights }) => weights === STORED);
  const wanted = first!.learner.values();
  for (const one of others) {
    const got = one.learner.values();
    const wrong = got.findIndex((value, i) => value !== wanted[i]);
    if (wrong >= 0) within(`adapter's number ${wrong} ${when}`, nameOf(one), got[wrong]!, wanted[wrong]!, 0);
  }
}

/** @throws Error unless the loss fell */
function verifyLearnt(who: string, first: number, last: number): void {
  if (!(last < first))
    throw new Error(`verify: training: ${who}: the loss went from ${first} to ${last}, expected less`);
}

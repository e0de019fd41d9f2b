/**
 * Steps of LoRA training by the model of `--model`, over the weights as stored on one thread and on two, and over float32, and by
 * PyTorch and PEFT where `--python` names them: verified against the golden losses where they are known, and against each other, before
 * they are timed and behind it.
 */
import { LoraModel } from 'lora-wasm';
import type { CausalLM } from 'lora-wasm/models';
import { summarise } from '../core/measure.js';
import type { Range } from '../core/records.js';
import type { SharedCeiling } from '../core/shared-ceiling.js';
import type { Environment } from '../suite.js';
import { type Contestant, nameOf, PLAIN, randomIds, STORED } from './contestants.js';
import type { Golden } from './golden.js';
import { stepFlops } from './sizes.js';
import {
  type Batch,
  freshLearner,
  type Learner,
  learnerFrom,
  type Native,
  RANK,
  type Stepped,
} from './step.js';
import { againstPlain, type ModelRow, modelRow, type Ran, takeTurns } from './turns.js';
import { alike, CLOSE, within } from './verify.js';

export const TRAINING = 'training';
export const PYTORCH = 'pytorch+peft';
/** Tokens of a step. */
export const TRAINED = 256;
const FULL = { trained: TRAINED, rounds: 7 };
const QUICK = { trained: 16, rounds: 2 };

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
    for (const one of adapted) trainees.push({ ...one, learner: freshLearner(one.rt, one.lora) });
    const sizes = quick ? QUICK : FULL;
    const ids = randomIds(adapted[0]!, sizes.trained);
    for (const { rt, learner } of model!.startNative
      ? trainees.filter(({ weights }) => weights === STORED)
      : []) {
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
  const timingOf = (results: readonly { ms: number }[]): Range => summarise(results.map(({ ms }) => ms));
  const plain = timingOf(turns.find(({ of }) => of.weights === PLAIN && of.ceiling !== null)!.results);
  const parts = stepFlops(trainees[0]!.language.config, trained, RANK);
  const flops = parts.matrices + parts.head + parts.adapters + parts.attention;
  for (const { of, results } of turns) verifyLearnt(of.name, first.loss, results.at(-1)!.loss);
  verifyBits('after the last step', trainees);
  const rows = turns.map(async ({ of, results, ceilings }) => {
    const timing = timingOf(results);
    const more = { ...againstPlain(of, TRAINING, timing, plain), ...(await of.states()) };
    return modelRow(of, TRAINING, trained, { timing, ceilings, flops }, more);
  });
  // Of this package first.
  const isOther = ({ contestant }: ModelRow): number => (contestant === PYTORCH ? 1 : 0);
  return (await Promise.all(rows)).sort((a, b) => isOther(a) - isOther(b));
}

/** Who takes turns. */
interface Party extends Ran {
  readonly name: string;
  readonly ceiling: SharedCeiling | null;
  readonly step: () => Promise<{ readonly loss: number; readonly ms: number }>;
  /** What its row states beside the times. */
  readonly states: () => Promise<Partial<ModelRow>>;
}

/** A native one beside each over the weights as stored, who has as many threads. */
function partiesOf(trainees: readonly Trainee[], natives: readonly Native[], batch: Batch): Party[] {
  const left = [...natives];
  return trainees.flatMap((trainee): Party[] => {
    const { rt, weights, ceiling, learner } = trainee;
    const own: Party = {
      ...{ name: nameOf(trainee), rt, weights, ceiling, states: async () => ({}) },
      step: async () => {
        const start = performance.now();
        const { loss } = learner.step(batch);
        return { loss, ms: performance.now() - start };
      },
    };
    const native = weights === STORED ? left.shift() : undefined;
    return native === undefined ? [own] : [nativeParty(native), own];
  });
}

const nativeName = ({ threads }: Native): string => `${PYTORCH}, threads: ${threads}`;

function nativeParty(native: Native): Party {
  const { threads, version, step } = native;
  return {
    ...{ name: nativeName(native), weights: PLAIN, ceiling: null, step },
    rt: { info: () => ({ kernels: 'native', threads }) },
    states: async () => {
      const resident = await native.resident();
      return { contestant: PYTORCH, version, ...(resident !== null && { resident }) };
    },
  };
}

/** Two steps from PEFT's adapter on: their losses, and the norm of the first one's gradients. @throws Error */
async function verifyGolden(
  one: Adapted,
  { ids, labels, shape, losses, norms, adapter }: Golden,
): Promise<void> {
  const learner = await learnerFrom(one.rt, one.lora, bytesOf(adapter));
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

/** A step of each: loss, norm, gradients; several threads the same bits, also of what AdamW left. @returns the first's @throws Error */
function verifyAlike(trainees: readonly Trainee[], batch: Batch): Stepped {
  const steps = trainees.map(({ learner }) => ({ ...learner.step(batch), gradients: learner.gradients() }));
  const first = steps[0]!;
  for (const [i, one] of trainees.entries()) {
    const { loss, norm } = steps[i]!;
    const close = one.weights === PLAIN ? CLOSE : 0;
    within('the loss of a step', nameOf(one), loss, first.loss, close * first.loss);
    within("the gradients' norm of a step", nameOf(one), norm, first.norm, close * first.norm);
  }
  const gradients = steps.map((step) => step.gradients);
  alike('gradient', trainees, gradients);
  verifyBits('after a step', trainees);
  return first;
}

/** Over the weights as stored all threads leave the same. @throws Error */
function verifyBits(when: string, trainees: readonly Trainee[]): void {
  const stored = trainees.filter(({ weights }) => weights === STORED);
  const values = stored.map(({ learner }) => learner.values());
  alike(`adapter's number ${when},`, stored, values);
}

/** The same step. @throws Error */
async function verifyNative(native: Native, first: Stepped): Promise<void> {
  const { loss, norm } = await native.step();
  const who = nativeName(native);
  within('the loss of a step', who, loss, first.loss, CLOSE * first.loss);
  within("the gradients' norm of a step", who, norm, first.norm, 10 * CLOSE * first.norm);
}

/** @throws Error unless the loss fell */
function verifyLearnt(who: string, first: number, last: number): void {
  if (!(last < first))
    throw new Error(`verify: training: ${who}: the loss went from ${first} to ${last}, expected less`);
}

/** What `lora-wasm train` says before the first step: model, data, adapter, steps, and the memory and time that they will take. `command.ts` calls it. */
import type { LoraModel } from '../../lora/lora-model.js';
import type { CausalLM } from '../../models/causal-lm.js';
import type { TrainBatches } from './data.js';
import type { Estimate } from './estimate.js';
import type { TrainFlags } from './options.js';
import { duration, size } from './report.js';

/** What is trained, and on what. */
export interface Planned {
  readonly model: CausalLM;
  readonly lora: LoraModel<CausalLM>;
  readonly train: TrainBatches;
  readonly valid: TrainBatches | null;
}

/** Steps of a run. */
export interface PlannedSteps {
  /** Those that are done. */
  readonly from: number;
  readonly all: number;
  readonly perEpoch: number;
}

/** A line each. */
export function planText(
  flags: TrainFlags,
  { model, lora, train, valid }: Planned,
  steps: PlannedSteps,
  piece: Estimate,
): string {
  const rt = model.runtime;
  const { kernels, threads } = rt.info();
  const { r, loraAlpha, batchSize, gradAccumulation, data, packing } = flags;
  const [trained, all] = [countOf(lora.trainableParameters()), countOf(lora.parameters())];
  const unit = packing ? 'sequences' : 'rows';
  const measured = valid === null ? '' : `; to measure: ${n(valid.rows)} ${unit}, ${n(valid.tokens)} tokens`;
  const done = steps.from === 0 ? '' : `, ${n(steps.from)} of them done: going on from the checkpoint`;
  const memory = rt.memory().held + piece.bytesPerToken * train.longest;
  const seconds = tokensLeft(flags, train, valid, steps) * piece.secondsPerToken;
  return [
    `model     ${flags.model}: ${model.config.modelType}, ${model.config.numHiddenLayers} blocks, ${n(all - trained)} parameters`,
    `data      ${data}: ${n(train.rows)} ${unit}, ${n(train.tokens)} tokens, of which ${n(train.counted)} count${measured}`,
    `adapter   r ${r}, alpha ${loraAlpha}, over ${lora.report().wrapped.length} layers: ${n(trained)} parameters train, ${((100 * trained) / all).toFixed(2)} % of all`,
    `steps     ${n(steps.all)} of ${batchSize * gradAccumulation} ${unit}${done}`,
    `memory    about ${size(memory)} at most, of which the model takes ${size(rt.memory().held)} with adapter and optimizer`,
    `time      about ${duration(seconds)} (${(1 / piece.secondsPerToken).toFixed(0)} tokens/s on ${threads} thread${threads === 1 ? '' : 's'}, kernels ${kernels})`,
  ].join('\n');
}

/** Tokens that are still to be computed; those of an evaluation, which has no backward, for a third. */
function tokensLeft(
  { batchSize, gradAccumulation, evalEvery }: TrainFlags,
  train: TrainBatches,
  valid: TrainBatches | null,
  { from, all, perEpoch }: PlannedSteps,
): number {
  const left = all - from;
  const perStep = Math.min((train.tokens / train.rows) * batchSize * gradAccumulation, train.tokens);
  if (valid === null || evalEvery === 0) return left * perStep;
  const evaluations = 1 + Math.ceil(left / (evalEvery ?? perEpoch));
  return left * perStep + (evaluations * valid.tokens) / 3;
}

const n = (value: number): string => value.toLocaleString('en-US');

/** Numbers in parameters. */
export function countOf(parameters: readonly { readonly size: number }[]): number {
  return parameters.reduce((sum, parameter) => sum + parameter.size, 0);
}

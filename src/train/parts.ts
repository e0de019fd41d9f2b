/** What a run is made of: model, data, options and optimizer, checked together. The Trainer makes it once; step and identity take it. */
import { Module } from '../nn/module.js';
import type { Optimizer } from '../optim/base.js';
import { AdamW } from '../optim/optimizer.js';
import type { Runtime } from '../tensor/runtime.js';
import { describe } from '../values/checks.js';
import { type Batches, type CheckedBatches, checkBatches } from './batches.js';
import { checkTrainerOptions, type TrainerOptions, type TrainerPlan } from './options.js';
import { trainedIn } from './weights.js';

export interface Parts<B, M extends Module> {
  readonly runtime: Runtime;
  readonly model: M;
  readonly batches: CheckedBatches<B>;
  readonly plan: TrainerPlan<B, M>;
  readonly optimizer: Optimizer;
}

/** @throws TypeError, RangeError; OutOfMemoryError for the moments of the default optimizer */
export function partsOf<B, M extends Module>(
  where: string,
  model: M,
  given: Batches<B>,
  options: TrainerOptions<B, M>,
): Parts<B, M> {
  if (!(model instanceof Module))
    throw new TypeError(`${where}: model is ${describe(model)}, expected a Module or LoraModel`);
  const named = trainedIn(model);
  const [first] = named;
  if (first === undefined)
    throw new RangeError(
      `${where}: nothing in the model trains, expected a parameter that requires a gradient`,
    );
  const { runtime } = first[1];
  const batches = checkBatches(`${where}: batches`, given);
  const plan = checkTrainerOptions(where, options, batches, runtime.info().seed);
  if (plan.optimizer !== null) checkOwn(where, model, plan.optimizer);
  const optimizer = plan.optimizer ?? new AdamW(named.map(([, parameter]) => parameter));
  return { runtime, model, batches, plan, optimizer };
}

/** @throws RangeError where the optimizer has a parameter that is not the model's */
function checkOwn(where: string, model: Module, optimizer: Optimizer): void {
  const own = new Set(model.parameters());
  const foreign = optimizer.settings.groups
    .flatMap(({ parameters }) => parameters)
    .find((one) => !own.has(one));
  if (foreign !== undefined)
    throw new RangeError(
      `${where}: the optimizer has a parameter [${foreign.shape.join(', ')}] that is not the model's, expected the model's alone`,
    );
}

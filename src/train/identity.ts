/**
 * What a run's numbers depend on, in short: hashes of the model's frozen part and of the data, kernels, version and options. A
 * checkpoint holds it, and another one is refused by the name of what differs. Called by `checkpoint.ts`.
 */
import { LoraLayer } from '../lora/layer/lora-layer.js';
import { LoraModel } from '../lora/lora-model.js';
import type { Module } from '../nn/module.js';
import type { Optimizer } from '../optim/base.js';
import { bytesOf } from '../values/dtypes.js';
import { Hash } from '../values/hash.js';
import { VERSION } from '../values/version.js';
import type { CheckedBatches } from './batches.js';
import { hashOf } from './data-hash.js';
import { CheckpointError } from './errors.js';
import type { TrainerPlan } from './options.js';
import type { Parts } from './parts.js';

/** What a checkpoint was made with; JSON holds it. */
export interface Identity {
  readonly version: string;
  readonly kernels: string;
  readonly model: string;
  readonly data: string;
  readonly evaluation: string;
  readonly options: Readonly<Record<string, unknown>>;
}

export function identityOf<B, M extends Module>(parts: Parts<B, M>): Identity {
  const { runtime, model, batches, plan, optimizer } = parts;
  const { evaluate } = plan;
  return {
    version: VERSION,
    kernels: runtime.info().kernels,
    // Before the hashes: what an option changes in them is then called by the option's name.
    options: { tags: plan.tags, ...optionsOf(plan, batches), optimizer: optimizerOptions(model, optimizer) },
    data: dataHash(batches),
    evaluation:
      evaluate === null ? 'none' : typeof evaluate === 'function' ? 'a function' : dataHash(evaluate),
    model: modelHash(model),
  };
}

/** @throws CheckpointError naming the first thing that differs */
export function checkIdentity(where: string, found: Identity, expected: Identity): void {
  const flat = (identity: Identity): Map<string, string> => new Map(leaves('', identity));
  const [was, is] = [flat(found), flat(expected)];
  for (const name of new Set([...was.keys(), ...is.keys()])) {
    const [before, now] = [was.get(name), is.get(name)];
    if (before !== now)
      throw new CheckpointError(
        `${where}: the checkpoint was made with ${name} ${before ?? 'not given'}, this run has ${now ?? 'none'}, expected the same`,
      );
  }
}

/** Every value within, with its dotted name, in JSON. */
function* leaves(name: string, value: unknown): Iterable<[string, string]> {
  if (value === null || typeof value !== 'object') yield [name, JSON.stringify(value) ?? 'undefined'];
  else
    for (const [key, entry] of Object.entries(value))
      yield* leaves(name === '' || name === 'options' ? key : `${name}.${key}`, entry);
}

/** What is frozen, by its bytes; what trains, by name and shape; which adapters act, and how strongly. */
function modelHash(model: Module): string {
  const hash = new Hash();
  for (const [name, parameter] of model.namedParameters()) {
    const { dtype, shape, requiresGrad, pointer, runtime } = parameter;
    hash
      .text(name)
      .text(dtype)
      .numbers(requiresGrad ? 1 : 0, ...shape);
    if (!requiresGrad)
      hash.update(new Uint8Array(runtime.engine.memory.buffer, pointer, bytesOf(shape, dtype)));
  }
  if (model instanceof LoraModel) {
    const decoder = new TextDecoder();
    for (const name of model.trainedAdapters)
      hash
        .text(name)
        .text(decoder.decode(model.exportAdapter(name, { allowNonFinite: true })['adapter_config.json']));
    for (const [name, layer] of model.namedModules())
      if (layer instanceof LoraLayer) addLayer(hash, name, layer);
  }
  return hash.digest();
}

function addLayer(hash: Hash, name: string, layer: LoraLayer): void {
  hash.text(name).numbers(layer.enabled ? 1 : 0);
  for (const adapter of layer.activeAdapters) {
    const { scaling, multiplier } = layer.factors(adapter);
    hash.text(adapter).numbers(scaling, multiplier);
  }
}

function dataHash<B>({ rows, batchSize, identity }: CheckedBatches<B>): string {
  if (identity === null) return `${rows} rows, ${batchSize} a batch`;
  return 'hash' in identity ? identity.hash : hashOf(identity.values);
}

/** The options that change numbers; intervals of saving, and where, may differ. */
function optionsOf<B, M extends Module>(plan: TrainerPlan<B, M>, { rows, batchSize }: CheckedBatches<B>) {
  const { steps, accumulate, clipNorm, shuffle, seed, evaluateEvery, greaterIsBetter, earlyStop, keepBest } =
    plan;
  return {
    ...{ rows, batchSize, accumulate, steps, clipNorm, shuffle, seed },
    schedule: scheduleHash(plan),
    ...{ evaluateEvery, greaterIsBetter, earlyStop, keepBest },
  };
}

/** A schedule by its factors, of which a long one gives some hundreds: a function cannot be compared. */
function scheduleHash<B, M extends Module>({ factor, steps }: TrainerPlan<B, M>): string {
  if (factor === null) return 'none';
  const shown = Math.min(steps, 256);
  const factors = Array.from({ length: shown }, (_, i) =>
    factor(Math.floor((i * (steps - 1)) / Math.max(shown - 1, 1))),
  );
  return new Hash().numbers(...factors).digest();
}

function optimizerOptions(model: Module, optimizer: Optimizer) {
  const { kind, options, groups } = optimizer.settings;
  const names = new Map(model.namedParameters().map(([name, parameter]) => [parameter, name]));
  return {
    ...{ kind, ...options },
    groups: groups.map(({ parameters, lr, weightDecay }) => {
      const hash = new Hash();
      for (const parameter of parameters) hash.text(names.get(parameter) ?? '');
      return { lr, weightDecay, parameters: hash.digest() };
    }),
  };
}

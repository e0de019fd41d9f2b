/**
 * A run as files: what trains, the optimiser's state, and `trainer.json` with all else, whose hashes tell whether the others are
 * whole. Everything is checked before anything is put back. Called by `loop.ts`.
 */
import { readSafetensors } from '../formats/safetensors-read.js';
import { writeSafetensors } from '../formats/safetensors-write.js';
import { type DropoutState, dropoutState, loadDropoutState } from '../nn/dropout-state.js';
import type { Module } from '../nn/module.js';
import type { NamedArray } from '../nn/state-dict.js';
import type { RandomState } from '../tensor/random.js';
import { FormatError } from '../values/format-error.js';
import { Hash } from '../values/hash.js';
import { CheckpointError } from './errors.js';
import { checkIdentity, type Identity } from './identity.js';
import type { Parts } from './parts.js';
import { type History, type Progress, progressJson, readProgress } from './progress.js';
import type { CheckpointFiles } from './store.js';
import { fileOf, readNamed, readWeights, trainedIn, type Values, weightFiles } from './weights.js';

const [STATE, MOMENTS, BEST] = ['trainer.json', 'optimizer.safetensors', 'best.safetensors'] as const;
const FORMAT = 'lora-wasm trainer 1';

/** What is saved, and where it is put back. */
export interface Run extends Pick<Parts<never, Module>, 'runtime' | 'model' | 'optimizer'> {
  /** What the numbers depend on. */
  readonly identity: Identity;
}

/** A run's state that lies in no parameter. */
export interface RunState {
  readonly progress: Progress;
  readonly history: History;
  /** The parameters of the best evaluation, as a file; null where they are not kept. */
  readonly best: Uint8Array | null;
}

/** The content of `trainer.json`. */
interface State {
  readonly format: string;
  readonly identity: Identity;
  /** Hashes of the other files. */
  readonly files: Readonly<Record<string, string>>;
  readonly rates: readonly number[];
  readonly random: RandomState;
  readonly dropout: DropoutState;
  readonly progress: unknown;
}

/** @throws FormatError for a weight that is not finite */
export function checkpointFiles(
  { runtime, model, optimizer, identity }: Run,
  { progress, history, best }: RunState,
): Map<string, Uint8Array> {
  const files = weightFiles(model);
  files.set(MOMENTS, writeSafetensors(optimizer.exportState(model)));
  if (best !== null) files.set(BEST, best);
  const state: State = {
    ...{ format: FORMAT, identity },
    files: Object.fromEntries([...files].map(([name, bytes]) => [name, hashOf(bytes)])),
    ...{ rates: optimizer.lrs, random: runtime.randomState(), dropout: dropoutState(model) },
    progress: progressJson(progress, history),
  };
  const body = JSON.stringify(state);
  // The first line tells whether the second one is whole.
  files.set(STATE, new TextEncoder().encode(`{"hash":"${textHash(body)}","state":\n${body}}\n`));
  return files;
}

/** What a checkpoint says of itself to who has no run to put it into. */
export interface CheckpointContent {
  readonly identity: Identity;
  /** Learning rates, one a group. */
  readonly rates: readonly number[];
  readonly progress: Progress;
  readonly history: History;
}

/** Reads a checkpoint whose files are whole. @throws CheckpointError, FormatError */
export function readCheckpoint(where: string, files: CheckpointFiles): CheckpointContent {
  const { state, progress, history } = readState(where, fileOf(where, files, STATE));
  checkHashes(where, state.files, files);
  return { identity: state.identity, rates: state.rates, progress, history };
}

/** Why the run of a checkpoint was over, by its `trainer.json` alone; null where it goes on. @throws CheckpointError, FormatError */
export function endIn(where: string, bytes: Uint8Array): Progress['end'] {
  return readState(where, bytes).progress.end;
}

/**
 * Puts a run back as its files have it.
 * @throws CheckpointError for a checkpoint of another run, AdapterError, FormatError for damaged files; nothing has changed then
 */
export function restoreCheckpoint(where: string, run: Run, files: CheckpointFiles): RunState {
  const { model, optimizer, runtime } = run;
  const { state, progress, history } = readState(where, fileOf(where, files, STATE));
  checkIdentity(where, state.identity, run.identity);
  checkHashes(where, state.files, files);
  const values = readWeights(where, model, files);
  const moments = readArrays(where, fileOf(where, files, MOMENTS));
  const best = BEST in state.files ? fileOf(where, files, BEST) : null;
  if (best !== null) readBest(where, model, best);
  const before = {
    ...{ moments: optimizer.exportState(model), rates: optimizer.lrs },
    ...{ dropout: dropoutState(model), random: runtime.randomState() },
  };
  try {
    optimizer.importState(model, moments);
    optimizer.restoreRates(`${where}: rates`, state.rates);
    loadDropoutState(model, state.dropout);
    runtime.setRandomState(state.random);
  } catch (cause) {
    optimizer.importState(model, before.moments);
    optimizer.restoreRates(where, before.rates);
    loadDropoutState(model, before.dropout);
    throw new CheckpointError(`${where}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  for (const [parameter, elements] of values) parameter.write(elements);
  return { progress, history, best };
}

/** The values of the best evaluation. @throws CheckpointError, FormatError */
export function readBest(where: string, model: Module, bytes: Uint8Array): Values[] {
  return readNamed(where, BEST, new Map([[BEST, bytes]]), trainedIn(model));
}

function hashOf(bytes: Uint8Array): string {
  return new Hash().update(bytes).digest();
}

function textHash(text: string): string {
  return new Hash().text(text).digest();
}

/** @throws FormatError, CheckpointError */
function readState(
  where: string,
  bytes: Uint8Array,
): { readonly state: State; readonly progress: Progress; readonly history: History } {
  const text = new TextDecoder().decode(bytes);
  const whole = /^\{"hash":"([0-9a-f]{32})","state":\n(.*)\}\n$/s.exec(text);
  if (whole === null || textHash(whole[2]!) !== whole[1])
    throw new FormatError(`${where}: ${STATE} is damaged, expected it as trainer.save wrote it`);
  const state = JSON.parse(whole[2]!) as State;
  if (state.format !== FORMAT)
    throw new CheckpointError(`${where}: ${STATE} has the format '${state.format}', expected '${FORMAT}'`);
  const found = readProgress(state.progress);
  if (found === null)
    throw new FormatError(`${where}: ${STATE} does not say how far the run was, expected it to`);
  return { state, ...found };
}

/** @throws FormatError naming the file that is not what was saved */
function checkHashes(where: string, hashes: Readonly<Record<string, string>>, files: CheckpointFiles): void {
  for (const [name, hash] of Object.entries(hashes))
    if (hashOf(fileOf(where, files, name)) !== hash)
      throw new FormatError(`${where}: ${name} is damaged, expected it as trainer.save wrote it`);
}

/** @throws FormatError */
function readArrays(where: string, bytes: Uint8Array): Map<string, NamedArray> {
  const file = readSafetensors(`${where}: ${MOMENTS}`, bytes);
  return new Map(
    file.names.map((name): [string, NamedArray] => {
      const data = file.array(name);
      return [name, { shape: file.info(name).shape, data }];
    }),
  );
}

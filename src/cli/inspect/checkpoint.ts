/** What a checkpoint of a training holds, as JSON or as a table: how far it is, its losses, what it goes with, its adapters. */
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { readAdapter } from '../../formats/read-adapter.js';
import { newestIn, readFiles } from '../../node/folder-store.js';
import { readCheckpoint } from '../../train/checkpoint.js';
import type { EvalRecord } from '../../train/events.js';
import type { Identity } from '../../train/identity.js';
import { printable } from '../../values/format-error.js';
import { kindOf } from '../files.js';
import { ofFile } from '../name-errors.js';
import { type Report, reportOf, tableOf } from './adapter.js';

const [STATE, MOMENTS] = ['trainer.json', 'optimizer.safetensors'];
const [WEIGHTS, CONFIG] = ['adapter_model.safetensors', 'adapter_config.json'];

export interface CheckpointReport {
  readonly kind: 'checkpoint';
  /** Optimiser steps in it, and those of the whole run. */
  readonly step: number;
  readonly steps: number | null;
  /** The epoch that comes next, counted from 0. */
  readonly epoch: number;
  /** Why the run was over; null where it goes on. */
  readonly end: 'finished' | 'early-stop' | null;
  /** Examples or tokens that counted. */
  readonly counted: number;
  /** Of the first and the last step; null before the first. */
  readonly loss: { readonly first: number; readonly last: number } | null;
  readonly evaluations: readonly EvalRecord[];
  readonly best: { readonly step: number; readonly value: number } | null;
  /** Learning rates that stand in the optimizer, one a group. */
  readonly rates: readonly number[];
  readonly goesWith: Identity;
  /** What is in it, with the bytes of each file. */
  readonly files: Readonly<Record<string, number>>;
  /** By folder; the one that lies in the checkpoint itself has the name ''. */
  readonly adapters: Readonly<Record<string, Report>>;
}

/** The folder that a Trainer saved, or what is left of one: the path's own, or the newest in it; null where it is none. */
export async function checkpointIn(path: string): Promise<string | null> {
  if ((await kindOf(path)) !== 'folder') return null;
  const names = await readdir(path);
  if (names.includes(STATE!) || names.includes(MOMENTS!)) return path;
  const newest = await newestIn(path);
  if (newest !== null) return join(path, newest.name);
  // What a training wrote that was stopped before its adapter stood.
  return names.includes(WEIGHTS!) ? null : checkpointOf(path);
}

/** The newest checkpoint of the training whose folder this is; null for none. */
export async function checkpointOf(folder: string): Promise<string | null> {
  const all = join(folder, 'checkpoints');
  const newest = (await kindOf(all)) === 'folder' ? await newestIn(all) : null;
  return newest && join(all, newest.name);
}

/** @throws CheckpointError, FormatError for files that are missing or damaged */
export async function checkpointReport(path: string): Promise<CheckpointReport> {
  const files = await readFiles(path);
  const { identity, rates, progress, history } = readCheckpoint(path, files);
  const { step, epoch, end, counted, best } = progress;
  const { steps, evaluations } = history;
  const planned = identity.options.steps;
  const adapters: Record<string, Report> = {};
  for (const [name, weights] of files) {
    if (basename(name) !== WEIGHTS) continue;
    const folder = name.slice(0, -WEIGHTS.length);
    const config = files.get(folder + CONFIG) ?? null;
    const file = await ofFile(join(path, name), join(path, folder + CONFIG), () =>
      readAdapter({ weights, config }),
    );
    adapters[folder.slice(0, -1)] = reportOf(file, weights.length);
  }
  return {
    ...{ kind: 'checkpoint', step, steps: typeof planned === 'number' ? planned : null, epoch, end, counted },
    loss: steps.length === 0 ? null : { first: steps[0]!.loss, last: steps.at(-1)!.loss },
    ...{ evaluations, best: best.best, rates, goesWith: identity },
    files: Object.fromEntries([...files].map(([name, bytes]) => [name, bytes.length])),
    adapters,
  };
}

/** A line of it, for the folder that it was made in. */
export function checkpointLine(path: string, { step, steps, loss, evaluations }: CheckpointReport): string {
  const last = evaluations.at(-1);
  const losses = loss === null ? '' : `, loss ${shown(loss.first)} to ${shown(loss.last)}`;
  const measured = last === undefined ? '' : `, evaluation ${shown(last.value)}`;
  return `checkpoint of step ${step}${steps === null ? '' : ` of ${steps}`}${losses}${measured}: lora-wasm inspect ${path}`;
}

export function checkpointTable(report: CheckpointReport): string {
  const { step, steps, epoch, end, counted, loss, evaluations, best, rates, goesWith } = report;
  const { version, kernels, model, data, evaluation, options } = goesWith;
  const last = evaluations.at(-1);
  const state = end === null ? `goes on in epoch ${epoch + 1}` : end === 'finished' ? 'done' : 'ended early';
  const lines = [
    `checkpoint of step ${step}${steps === null ? '' : ` of ${steps}`}, ${state}; ${counted} examples or tokens counted`,
    loss === null
      ? 'no loss yet'
      : `loss ${shown(loss.first)} in the first step, ${shown(loss.last)} in the last one`,
    last === undefined
      ? 'no evaluation yet'
      : `evaluation ${shown(last.value)} after step ${last.step}${best === null ? '' : `; the best is ${shown(best.value)}, after step ${best.step}`}`,
    `learning rate ${rates.map(shown).join(', ')}`,
    `goes with lora-wasm ${version}, kernels ${kernels}, model ${model}, data ${data}, evaluation ${evaluation}`,
    `options ${settings(options).join(', ')}`,
    ...Object.entries(report.files).map(([name, bytes]) => `${name}: ${bytes} bytes`),
    ...Object.entries(report.adapters).map(
      ([name, adapter]) => `${name === '' ? '' : `${name}: `}${tableOf(adapter)}`,
    ),
  ];
  return lines.map((line) => printable(line, true)).join('\n');
}

const shown = (value: number): string => String(Number(value.toPrecision(5)));

/** Every option with its value; the tags, which a caller chose, by their own names. */
function settings(options: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(options).flatMap(([name, value]): string[] =>
    name === 'tags' && typeof value === 'object' && value !== null
      ? settings(value as Record<string, unknown>)
      : [`${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`],
  );
}

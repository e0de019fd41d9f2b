/** What `lora-wasm train` writes beside the checkpoints: the adapter, metrics a line each, the chart. `command.ts` calls it. */
import { appendFile, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { AdapterFiles } from '../../lora/files/export-adapter.js';
import { naming } from '../../node/durable.js';
import type { Place } from '../../node/folder-store.js';
import { writeAtomic } from '../../node.js';
import { makeFolder } from '../../platform/make-folder.js';
import { endIn } from '../../train/checkpoint.js';
import type { TrainHistory } from '../../train/events.js';
import { checkOut, kindOf } from '../files.js';
import { checkPath, UserError } from '../name-errors.js';
import { lossChart } from './loss-chart.js';

/** A line of metrics; `seconds` alone may differ between two equal runs. */
export type Metric =
  | {
      readonly type: 'step';
      readonly step: number;
      readonly epoch: number;
      readonly loss: number;
      /** Tokens that counted. */
      readonly tokens: number;
      readonly lr: number;
      readonly gradNorm: number;
      readonly seconds?: number;
    }
  | { readonly type: 'eval'; readonly step: number; readonly loss: number; readonly seconds?: number };

/** Sees to it that the folder and the file of metrics can be written, before anything takes time. @throws UserError; file system errors */
export async function prepareOut(out: string, resume: boolean, metrics?: string): Promise<void> {
  await checkOut(out, resume);
  if (metrics !== undefined) checkPath(metrics, '--metrics');
  await checkWritable(out);
  if (metrics === undefined) return;
  await checkMetrics(metrics, resume);
  await checkWritable(dirname(metrics));
}

/** The file of metrics is written anew: it must be the run's own. @throws UserError; file system errors */
async function checkMetrics(metrics: string, resume: boolean): Promise<void> {
  if ((await kindOf(metrics)) === 'folder')
    throw new UserError(`${metrics}: is a folder, expected a file for --metrics`);
  const found = await stat(metrics).catch(() => null);
  if (found !== null && !found.isFile())
    throw new UserError(`${metrics}: is no regular file, expected one, or nothing, for --metrics`);
  if (found !== null && found.size > 0 && !resume)
    throw new UserError(`${metrics}: is there already, expected another file, or --resume to go on`);
}

async function checkWritable(folder: string): Promise<void> {
  const probe = join(folder, '.lora-wasm-can-write');
  try {
    await makeFolder(folder);
    await writeFile(probe, '');
    await rm(probe);
  } catch (error) {
    throw new UserError(`${folder}: cannot be written (${error instanceof Error ? error.message : error})`);
  }
}

/** The files of a run in its folder. */
export class TrainOutput {
  readonly #out: string;
  readonly #metrics: string;
  /** Lines that an earlier run left, by type and step. */
  #before: ReadonlyMap<string, Metric> = new Map();
  /** Whether the metrics are in their place, so that more is added to them. */
  #open = false;
  #first: Metric | null = null;

  constructor(out: string, metrics: string | undefined) {
    this.#out = out;
    this.#metrics = metrics ?? join(out, 'metrics.jsonl');
  }

  get checkpoints(): string {
    return join(this.#out, 'checkpoints');
  }

  /** Reads what an earlier run left: what no checkpoint has any more is dropped later. @throws UserError; file system errors */
  async begin(): Promise<void> {
    const found = new Map<string, Metric>();
    const text = (await kindOf(this.#metrics)) === 'file' ? await readFile(this.#metrics, 'utf8') : '';
    for (const line of text.split('\n')) {
      const metric = parsed(line);
      if (metric !== null) found.set(keyOf(metric), metric);
    }
    this.#before = found;
    this.#first = found.get('eval 0') ?? null;
  }

  /** Whether a checkpoint is of a run that has ended, early or not; one that is damaged is told of where it is taken. */
  async isOver({ name }: Place): Promise<boolean> {
    try {
      return endIn(name, await readFile(join(this.checkpoints, name, 'trainer.json'))) !== null;
    } catch {
      return false;
    }
  }

  /** The loss before the first step; null where it was not measured. */
  get first(): Metric | null {
    return this.#first;
  }

  /** Notes the loss before the first step. */
  measured(loss: number, seconds: number): void {
    this.#first = { type: 'eval', step: 0, loss, seconds };
  }

  /** Adds a line; the first one puts all before it in order. */
  async add(metric: Metric, history: TrainHistory): Promise<void> {
    if (this.#open)
      await naming(this.#metrics, () => appendFile(this.#metrics, `${JSON.stringify(metric)}\n`));
    else {
      const key = keyOf(metric);
      const all = this.#linesOf(history).map((line) => (keyOf(line) === key ? metric : line));
      await this.#writeAll(all);
      this.#open = true;
    }
  }

  /** Adapter, metrics and chart as they are now; files that have these bytes already are not touched. */
  async write(files: AdapterFiles, history: TrainHistory): Promise<void> {
    if (!this.#open) await this.#writeAll(this.#linesOf(history));
    this.#open = true;
    const before = this.#first === null ? [] : [{ step: 0, value: this.#first.loss }];
    const chart = new TextEncoder().encode(lossChart(history.steps, [...before, ...history.evaluations]));
    await this.#put('adapter_model.safetensors', files['adapter_model.safetensors']);
    await this.#put('adapter_config.json', files['adapter_config.json']);
    await this.#put('loss.svg', chart);
  }

  /** Every line of a history, with the times that are known. */
  #linesOf({ steps, evaluations }: TrainHistory): Metric[] {
    const lines: Metric[] = this.#first === null ? [] : [this.#first];
    let next = 0;
    for (const { step, epoch, loss, count: tokens, lr, gradNorm } of steps) {
      lines.push(this.#timed({ type: 'step', step, epoch, loss, tokens, lr, gradNorm }));
      for (; evaluations[next]?.step === step; next++)
        lines.push(this.#timed({ type: 'eval', step, loss: evaluations[next]!.value }));
    }
    return lines;
  }

  #timed(metric: Metric): Metric {
    const seconds = this.#before.get(keyOf(metric))?.seconds;
    return seconds === undefined ? metric : { ...metric, seconds };
  }

  async #writeAll(lines: readonly Metric[]): Promise<void> {
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    await putBytes(this.#metrics, new TextEncoder().encode(text));
  }

  async #put(name: string, bytes: Uint8Array): Promise<void> {
    await putBytes(join(this.#out, name), bytes);
  }
}

async function putBytes(path: string, bytes: Uint8Array): Promise<void> {
  if ((await kindOf(path)) === 'file' && Buffer.compare(await readFile(path), bytes) === 0) return;
  await writeAtomic(path, bytes);
}

const keyOf = ({ type, step }: Metric): string => `${type} ${step}`;

/** A line of metrics; null for one that was cut, or is none. */
function parsed(line: string): Metric | null {
  try {
    const value: unknown = JSON.parse(line);
    const is = (name: string): boolean => typeof Reflect.get(value as object, name) === 'number';
    const type: unknown = value === null ? null : Reflect.get(value as object, 'type');
    return (type === 'step' || type === 'eval') && is('step') && is('loss') ? (value as Metric) : null;
  } catch {
    return null;
  }
}

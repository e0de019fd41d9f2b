/** `lora-wasm train`: from rows of text to an adapter. What it reads is data.ts, what it writes files.ts; here it runs. */
import type { LoraModel } from '../../lora/lora-model.js';
import type { CausalLM } from '../../models/causal-lm.js';
import { type CausalLoss, causalLoss } from '../../models/causal-loss.js';
import type { LanguageModel } from '../../models/load-model.js';
import { folderStore, newestIn, type Place } from '../../node/folder-store.js';
import type { TrainEvent, TrainResult } from '../../train/events.js';
import type { PackedRow } from '../../train/pack-rows.js';
import { Trainer } from '../../train/trainer.js';
import { Interrupted } from '../interrupted.js';
import { UserError } from '../name-errors.js';
import { warn } from '../print.js';
import { withModel } from '../run-model.js';
import { attachAdapter, optimizerOf } from './adapter.js';
import { batchesOf, readTrainFiles, rowsOfFiles, type TrainBatches, type TrainFiles } from './data.js';
import { estimate } from './estimate.js';
import { prepareOut, TrainOutput } from './files.js';
import type { TrainFlags } from './options.js';
import { countOf, planText } from './plan.js';
import { duration, TrainReport } from './report.js';
import { inCommand, runError } from './run-error.js';

/** @throws UserError, Interrupted; errors of files, options, memory and training */
export async function trainCommand(flags: TrainFlags): Promise<void> {
  if (flags.steps !== undefined && flags.epochs !== undefined)
    throw new UserError('--steps and --epochs are given, expected one of them');
  const files = await readTrainFiles(flags);
  await prepareOut(flags.out, flags.resume === true, flags.metrics);
  await withModel(flags, (lm, signal) => new Job(lm, flags, files).run(signal), { seed: flags.seed });
}

/** One training. */
class Job {
  readonly #flags: TrainFlags;
  readonly #lm: LanguageModel;
  readonly #lora: LoraModel<CausalLM>;
  readonly #train: TrainBatches;
  readonly #valid: TrainBatches | null;
  readonly #output: TrainOutput;
  readonly #trainer: Trainer<PackedRow, LoraModel<CausalLM>>;
  readonly #report: TrainReport;
  /** Whether what was learnt is asked for in a conversation. */
  readonly #asks: boolean;
  /** Steps of an epoch. */
  readonly #perEpoch: number;
  /** The checkpoint that there was before the run. */
  #newest: Place | null = null;
  /** Tokens that were computed so far, in steps or not. */
  #tokens = 0;

  constructor(lm: LanguageModel, flags: TrainFlags, files: TrainFiles) {
    this.#flags = flags;
    this.#lm = lm;
    this.#asks = lm.chat !== null && files.train.text.includes('"messages"');
    const stream = flags.json ? process.stderr : process.stdout;
    const rows = rowsOfFiles(files, lm, flags, warn);
    const length = flags.packing ? Math.min(flags.maxSeqLength, lm.model.maxLength) : null;
    this.#train = batchesOf(rows.train, flags.batchSize, length);
    this.#valid = rows.valid.length === 0 ? null : batchesOf(rows.valid, flags.batchSize, length);
    const batches = Math.ceil(this.#train.rows / flags.batchSize);
    this.#perEpoch = Math.ceil(batches / flags.gradAccumulation);
    lm.model.gradientCheckpointing = flags.gradCheckpoint === true;
    this.#lora = attachAdapter(lm.model, flags);
    this.#output = new TrainOutput(flags.out, flags.metrics);
    this.#trainer = this.#makeTrainer();
    this.#report = new TrainReport(stream, this.#trainer.steps);
  }

  async run(signal: AbortSignal): Promise<void> {
    const begun = performance.now();
    await this.#output.begin();
    this.#newest = await newestIn(this.#output.checkpoints);
    const from = this.#newest?.step ?? 0;
    const over = this.#newest !== null && (await this.#output.isOver(this.#newest));
    if (!over && from < this.#trainer.steps) await this.#plan(from);
    if (from === 0) await this.#measure(signal);
    const result = await this.#follow(signal);
    await this.#write();
    if (result.reason === 'aborted') this.#tellStop(result.step, signal);
    signal.throwIfAborted();
    this.#conclude(result, (performance.now() - begun) / 1000);
  }

  #makeTrainer(): Trainer<PackedRow, LoraModel<CausalLM>> {
    const flags = this.#flags;
    const { gradAccumulation: accumulate, epochs = 1, clipNorm, evalEvery, earlyStop } = flags;
    const steps = flags.steps ?? epochs * this.#perEpoch;
    const { schedule, seed, saveEvery, keep } = flags;
    const evaluates = this.#valid !== null && evalEvery !== 0;
    if (earlyStop !== undefined && !evaluates)
      throw new UserError(
        '--early-stop without measurements, expected --valid or --valid-split, and --eval-every not 0',
      );
    if (evalEvery !== undefined && evalEvery !== 0 && !evaluates)
      throw new UserError(
        `--eval-every ${evalEvery} without rows to measure, expected --valid or --valid-split`,
      );
    if (flags.warmup > steps)
      throw new UserError(
        `--warmup ${flags.warmup} is more than the ${steps} steps, expected at most ${steps}`,
      );
    return new Trainer(this.#lora, this.#train, {
      loss: (batch) => this.#loss(batch),
      optimizer: optimizerOf(this.#lora, flags),
      ...{ steps, accumulate, schedule, seed, saveEvery },
      onWarning: (message) => warn(inCommand(message)),
      warmup: flags.warmup < 1 ? Math.ceil(flags.warmup * steps) : flags.warmup,
      clipNorm: clipNorm === 0 ? null : clipNorm,
      ...(evaluates ? { evaluate: this.#valid! } : {}),
      ...(evaluates && evalEvery !== undefined ? { evaluateEvery: evalEvery } : {}),
      ...(earlyStop === undefined ? {} : { earlyStop, keepBest: true }),
      store: folderStore(this.#output.checkpoints, { keep }),
      resume: flags.resume === true,
      tags: tagsOf(flags),
    });
  }

  /** The loss of a batch, all of which is one sequence. */
  #loss({ ids, labels, starts, positions }: PackedRow): CausalLoss {
    this.#tokens += ids.length;
    const { model } = this.#lm;
    return causalLoss(model, model.runtime.tensor(ids, [1, ids.length]), labels, { starts, positions });
  }

  /** Says what is about to happen. */
  async #plan(from: number): Promise<void> {
    const piece = estimate(this.#lora, await this.#train.batch([0]), (batch) => this.#loss(batch));
    const [train, valid, lora, perEpoch] = [this.#train, this.#valid, this.#lora, this.#perEpoch];
    const steps = { from, all: this.#trainer.steps, perEpoch };
    this.#report.line(planText(this.#flags, { model: this.#lm.model, lora, train, valid }, steps, piece));
  }

  /** The validation's loss before the first step. */
  async #measure(signal: AbortSignal): Promise<void> {
    if (this.#valid === null || this.#flags.evalEvery === 0) return;
    const begin = performance.now();
    const loss = await this.#trainer.evaluate({ signal });
    this.#output.measured(loss, (performance.now() - begin) / 1000);
    this.#report.line(`validation loss ${loss.toFixed(4)} before the first step`);
  }

  /** Runs to the end, telling and keeping what happens. */
  async #follow(signal: AbortSignal): Promise<TrainResult> {
    const events = this.#trainer.run({ signal });
    const before = this.#tokens;
    try {
      for (;;) {
        const tokens = this.#tokens;
        const next = await events.next();
        if (next.done) return next.value;
        await this.#take(next.value, this.#tokens - tokens);
      }
    } catch (error) {
      throw runError(error, this.#flags.out, this.#tokens === before ? this.#newest : null);
    } finally {
      this.#report.end();
    }
  }

  async #take(event: TrainEvent, tokens: number): Promise<void> {
    const { history } = this.#trainer;
    if (event.type === 'step') {
      const { type, step, epoch, loss, count: counted, lr, gradNorm, seconds } = event;
      await this.#output.add({ type, step, epoch, loss, tokens: counted, lr, gradNorm, seconds }, history);
      this.#report.step({ step, loss, tokens, seconds });
    } else if (event.type === 'eval') {
      const { type, step, value: loss, best, seconds } = event;
      await this.#output.add({ type, step, loss, seconds }, history);
      this.#report.line(
        `validation loss ${loss.toFixed(4)} after step ${step}${best ? ', the best so far' : ''}`,
      );
    } else await this.#write();
  }

  /** @throws UserError where nobody reads: what is unfinished is no success, as it is of a text that nobody reads on */
  #tellStop(step: number, signal: AbortSignal): void {
    const stopped = `stopped after step ${step} of ${this.#trainer.steps}, --resume goes on`;
    if (signal.reason instanceof Interrupted && signal.reason.exitCode === 0)
      throw new UserError(`${signal.reason.message}: ${stopped}`);
    this.#report.line(stopped);
  }

  async #write(): Promise<void> {
    const files = this.#lora.exportAdapter(undefined, {
      taskType: 'CAUSAL_LM',
      baseModelNameOrPath: this.#flags.model,
    });
    await this.#output.write(files, this.#trainer.history);
  }

  #conclude({ reason, step, best, history }: TrainResult, seconds: number): void {
    const { out, model, json } = this.#flags;
    const before = this.#output.first?.loss ?? null;
    const after = history.evaluations.at(-1)?.value ?? null;
    if (json) {
      const report = {
        ...{
          reason,
          steps: step,
          loss: history.steps.at(-1)?.loss ?? null,
          validation: { before, after, best },
        },
        ...{ trainable: countOf(this.#lora.trainableParameters()), tokens: this.#report.tokens, seconds },
        ...{ adapter: out, peakMemory: this.#lm.model.runtime.memory().peak },
      };
      process.stdout.write(`${JSON.stringify(report)}\n`);
      return;
    }
    const done = this.#report.tokens === 0 ? 'was done already' : `done in ${duration(seconds)}`;
    const measured =
      after === null
        ? ''
        : `; validation loss ${before === null ? '' : `${before.toFixed(4)} -> `}${after.toFixed(4)}`;
    const kept = best !== null && reason === 'early-stop' ? `; the best, of step ${best.step}, is kept` : '';
    this.#report.line(
      `${done}: ${step} steps${measured}${kept}\nthe adapter is in ${out}: lora-wasm generate --model ${model} --adapter ${out}${this.#asks ? ' --chat' : ''} --prompt ...`,
    );
  }
}

/** What the numbers depend on, under the names of the command: a checkpoint of another run is refused by them. */
function tagsOf(flags: TrainFlags): Record<string, unknown> {
  const { r, loraAlpha, loraDropout, targetModules, layers, useDora, useRslora } = flags;
  return {
    ...{ '--r': r, '--lora-alpha': loraAlpha, '--lora-dropout': loraDropout },
    '--target-modules': String(targetModules),
    '--layers': layers === undefined ? 'all' : 'last' in layers ? layers.last : layers.these.join(','),
    ...{ '--use-dora': useDora === true, '--use-rslora': useRslora === true },
    ...{ '--max-seq-length': flags.maxSeqLength, '--packing': flags.packing === true },
    '--no-mask-prompt': !flags.maskPrompt,
    ...{ '--lr': flags.lr, '--lora-plus-ratio': flags.loraPlusRatio, '--weight-decay': flags.weightDecay },
    ...{ '--schedule': flags.schedule, '--warmup': flags.warmup, '--clip-norm': flags.clipNorm },
    ...{
      '--batch-size': flags.batchSize,
      '--grad-accumulation': flags.gradAccumulation,
      '--seed': flags.seed,
    },
    ...{ '--eval-every': flags.evalEvery ?? 'epoch', '--early-stop': flags.earlyStop ?? 'never' },
  };
}

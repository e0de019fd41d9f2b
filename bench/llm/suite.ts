/**
 * The suite `llm`: the kernels of a language model at the sizes of SmolLM2-135M, one thread: products over weights as a file holds
 * them against the same numbers in float32, and causal attention; and, where `--model` names one, the whole model and its training.
 */
import { summarise } from '../core/measure.js';
import { type NotMeasured, PACKAGE, RESIDENT_JOBS, type Row } from '../core/records.js';
import { figure, rangeText } from '../core/table.js';
import type { Environment, Outcome, Suite } from '../suite.js';
import { attentionRows } from './attention.js';
import { disposeAll, loadContestants } from './contestants.js';
import { llmGoals } from './goals.js';
import { joinRuns } from './join.js';
import { GENERATION, PROMPT, textRows } from './model.js';
import { modelTable } from './pages.js';
import { productRows } from './products.js';
import { SMOLLM2, TINY } from './sizes.js';
import { PYTORCH, TRAINING, trainingRows } from './training.js';
import { bestPercent, hasCeilings, isModelRow, type ModelRow, percentsOf, speedsOf } from './turns.js';

export const llm = {
  about: 'a language model: quantised weights against float32, attention against the ceiling',
  run,
  columns: [
    ...['operation', 'shape', 'ms (range)', 'GFLOP/s', '% of ceiling', 'times as fast as float32'],
    ...['tokens a second (range)', '% of ceiling, best'],
  ],
  cells: (row) => [
    row.contestant === PACKAGE ? row.operation : `${row.operation}, ${row.contestant}`,
    ...[row.shape, rangeText(row), row.gflops.toFixed(1)],
    percentText(row),
    row.ratio === null ? '' : figure(1 / row.ratio),
    isModelRow(row) ? rangeText(summarise(speedsOf(row))) : '',
    hasCeilings(row) && row.ceilings.length > 0 ? bestPercent(row).toFixed(0) : '',
  ],
  goals: llmGoals,
  join: joinRuns,
  digest: modelTable,
} as const satisfies Suite;

function percentText(row: Row): string {
  if (hasCeilings(row) && row.ceilings.length > 0) {
    const { median, min, max } = summarise(percentsOf(row));
    return `${median.toFixed(0)} (${min.toFixed(0)}-${max.toFixed(0)})`;
  }
  return row.percentOfCeiling === null ? '' : row.percentOfCeiling.toFixed(0);
}

async function run(environment: Environment): Promise<Outcome> {
  const { quick, model, threads } = environment;
  const sizes = quick ? TINY : SMOLLM2;
  const kernels = [...productRows(environment, sizes), ...attentionRows(environment, sizes)];
  const whole = model === null ? [] : await modelRows(environment);
  const rows = [...kernels, ...whole];
  if (model === null) return { rows, notMeasured: [left('the whole model', 'no --model names its file')] };
  const notMeasured = [
    ...(threads > 1 ? [] : [left('the model on several threads', 'one thread was asked for')]),
    ...(model.startNative
      ? []
      : [{ ...left(TRAINING, 'no Python was named, or none can be started'), contestant: PYTORCH }]),
  ];
  if (quick || whole.length === 0) return { rows, notMeasured };
  const { peakResident, progress } = environment;
  if (peakResident === null)
    return { rows, notMeasured: [...notMeasured, left('resident memory', 'a page cannot tell it')] };
  const peaks = RESIDENT_JOBS.map((job) => {
    progress(`memory of a process of its own: ${job}`);
    return [job, peakResident(job)] as const;
  });
  return { rows, notMeasured, peakResident: Object.fromEntries(peaks) };
}

/** None where no operation is wanted. */
export async function modelRows(environment: Environment): Promise<ModelRow[]> {
  const { wanted } = environment;
  const text = [PROMPT, GENERATION].some((operation) => wanted(operation));
  const training = wanted(TRAINING);
  if (!text && !training) return [];
  const contestants = await loadContestants(environment);
  try {
    // What runs the bare model comes first.
    const texts = text ? await textRows(environment, contestants) : [];
    return [...texts, ...(training ? await trainingRows(environment, contestants) : [])];
  } finally {
    disposeAll(contestants);
  }
}

const left = (operation: string, reason: string): NotMeasured => ({ contestant: PACKAGE, operation, reason });

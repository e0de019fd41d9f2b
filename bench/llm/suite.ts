/**
 * The suite `llm`: the kernels of a language model at the sizes of SmolLM2-135M, one thread: products over weights as a file holds
 * them against the same numbers in float32, and causal attention.
 */
import { figure, rangeText } from '../core/table.js';
import type { Environment, Outcome, Suite } from '../suite.js';
import { attentionRows } from './attention.js';
import { llmGoals } from './goals.js';
import { productRows } from './products.js';
import { SMOLLM2, TINY } from './weights.js';

export const llm = {
  about: 'a language model: quantised weights against float32, attention against the ceiling',
  run,
  columns: ['operation', 'shape', 'ms (range)', 'GFLOP/s', '% of ceiling', 'times as fast as float32'],
  cells: (row) => [
    ...[row.operation, row.shape, rangeText(row), row.gflops.toFixed(1)],
    row.percentOfCeiling === null ? '' : row.percentOfCeiling.toFixed(0),
    row.ratio === null ? '' : figure(1 / row.ratio),
  ],
  goals: llmGoals,
} as const satisfies Suite;

function run(environment: Environment): Outcome {
  const sizes = environment.quick ? TINY : SMOLLM2;
  return { rows: [...productRows(environment, sizes), ...attentionRows(environment)], notMeasured: [] };
}

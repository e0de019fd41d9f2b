/** How many parameters train, in PEFT's words. */
import type { Parameter } from '../tensor/parameter.js';

export interface ParameterSummary {
  /** Elements that require a gradient. */
  readonly trainable: number;
  /** All elements, adapters included. */
  readonly all: number;
  /** 100 · trainable / all. */
  readonly percent: number;
  /** `trainable params: 6,794 || all params: 2,813,804 || trainable%: 0.2415` */
  toString(): string;
}

export function summarize(parameters: readonly Parameter[]): ParameterSummary {
  let trainable = 0;
  let all = 0;
  for (const { size, requiresGrad } of parameters) {
    all += size;
    if (requiresGrad) trainable += size;
  }
  const percent = all === 0 ? 0 : (100 * trainable) / all;
  const count = (n: number): string => n.toLocaleString('en-US');
  return {
    trainable,
    all,
    percent,
    toString: () =>
      `trainable params: ${count(trainable)} || all params: ${count(all)} || trainable%: ${percent.toFixed(4)}`,
  };
}

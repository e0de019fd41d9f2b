/** How many parameters train, in PEFT's words. */
import type { Parameter } from '../../tensor/parameter.js';
import type { OwnCopy } from './copies.js';

/** How many parameters there are and how many train; `toString()` is PEFT's line. */
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

/**
 * Counts as PEFT does. A trained bias is one parameter there, the base's own: an adapter's copy stands for its original and
 * is not counted beside it, however many adapters have one. A module saved whole is one more, there as here.
 * @param parameters - every parameter of the model, copies included
 */
export function summarize(parameters: readonly Parameter[], copies: readonly OwnCopy[]): ParameterSummary {
  const originals = new Map(
    copies.filter(({ kind }) => kind === 'bias').map(({ own, original }) => [own, original]),
  );
  const counted = new Map<Parameter, boolean>();
  for (const parameter of parameters) {
    const one = originals.get(parameter) ?? parameter;
    counted.set(one, parameter.requiresGrad || (counted.get(one) ?? false));
  }
  let trainable = 0;
  let all = 0;
  for (const [{ size }, trains] of counted) {
    all += size;
    if (trains) trainable += size;
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

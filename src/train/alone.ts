/**
 * Steps and evaluations over the same parameters, one after the other: both go on while other code runs, and a second one in
 * between would forget the first one's gradients, or turn its dropout off. Called by `step.ts` and `evaluation.ts`.
 */
import type { Parameter } from '../tensor/parameter.js';
import type { Named } from './window.js';

/** What is going on; evaluations may lie in each other. */
type Work = 'step' | 'evaluation';

const going = new WeakMap<Parameter, readonly Work[]>();

/** Does `use` as a step or an evaluation. @throws Error where a step, or an evaluation that a step would disturb, is going on */
export async function alone<T>(where: string, work: Work, named: Named, use: () => Promise<T>): Promise<T> {
  for (const [name, parameter] of named) {
    const other = going.get(parameter)?.find((one) => one === 'step' || work === 'step');
    if (other !== undefined)
      throw new Error(
        `${where}: '${name}' is in the middle of another ${other}, expected the end of that before this ${work}`,
      );
  }
  for (const [, parameter] of named) going.set(parameter, [...(going.get(parameter) ?? []), work]);
  try {
    return await use();
  } finally {
    for (const [, parameter] of named) {
      const all = [...(going.get(parameter) ?? [])];
      all.splice(all.indexOf(work), 1);
      going.set(parameter, all);
    }
  }
}

/** Names of adapters as callers give them: for every member of models and layers that takes some. */
import { describe } from '../../values/checks.js';

/** Names of adapters as a list of its own: one, or an array of them. @throws TypeError */
export function namesGiven(where: string, given: unknown): string[] {
  if (typeof given === 'string') return [given];
  if (!Array.isArray(given))
    throw new TypeError(`${where}: names is ${describe(given)}, expected a name or an array of names`);
  const names: unknown[] = [...given];
  const wrong = names.findIndex((name) => typeof name !== 'string');
  if (wrong >= 0)
    throw new TypeError(`${where}: name ${wrong} is ${describe(names[wrong])}, expected a string`);
  return names as string[];
}

/**
 * Which modules `modulesToSave` means. PEFT has two rules: it saves every module whose name ends with an entry (`head` saves
 * `pre_head` too), and keeps out of LoRA what an entry as a pattern matches, whole segments of the name or within them.
 */

import type { Module } from '../../nn/module.js';
import { compileOpening } from '../../patterns/pattern.js';

/** Whether a module is kept out of LoRA because an entry names it or what it lies in. @throws FormatError */
export function inSavedModule(where: string, entries: readonly string[]): (name: string) => boolean {
  const patterns = entries.map((entry) =>
    compileOpening(`${where}: modulesToSave`, entry, { before: '(?:^|.*\\.)', after: '(?:$|\\..*)' }),
  );
  return (name) => patterns.some((pattern) => pattern.opens(name) !== null);
}

/** Names of the modules that entries save. */
export function savedModules(
  modules: readonly (readonly [string, Module])[],
  entries: readonly string[],
): string[] {
  return modules
    .map(([name]) => name)
    .filter((name) => name !== '' && entries.some((entry) => name.endsWith(entry)));
}

/** Entries that save no module. */
export function idleEntries(names: readonly string[], entries: readonly string[]): string[] {
  return entries.filter((entry) => !names.some((name) => name.endsWith(entry)));
}

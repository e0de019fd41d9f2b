/**
 * Right calls of what is exported, to be bent: without one a target gets arguments at random alone, which its first check
 * turns away. A new export needs none; with one, its later checks are reached. They stand in `calls/`, by what is called; what
 * is written as `options(...)` is also tried with names that nobody knows and with values of no kind at all.
 */
import { construction } from './calls/construction.js';
import { languageModels } from './calls/language.js';
import { members } from './calls/members.js';
import { operations } from './calls/operations.js';
import { type Calls, options } from './calls/options.js';
import type { World } from './world.js';

/** Right calls of functions, constructors and members, by the target's name. @param files - those of `fileCalls` */
export function validCalls(world: World, files: Calls, folder: string): Calls {
  const saveAdapter: Calls[string] = () => [
    [
      world.objects.get('lora'),
      'default',
      folder,
      options({ convert: true, allowNonFinite: false, taskType: 'CAUSAL_LM', baseModelNameOrPath: 'base' }),
    ],
  ];
  return {
    ...files,
    ...operations(world),
    ...construction(world),
    ...members(world),
    ...languageModels(world),
    saveAdapter,
  };
}

/**
 * Every public call of the package by its name: functions as `linear`, constructors as `Linear`, methods as `Module.stateDict`.
 * Found by walking the exports and their prototypes; what the sources mark as internal is left out. For `injection.test.ts`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import * as api from '../../../src/index.js';
import * as models from '../../../src/models/index.js';
import * as train from '../../../src/train/index.js';

const SOURCE = new URL('../../../src/', import.meta.url);

/** Names marked `@internal` in the sources, as `Class.name`. */
function internalNames(): Set<string> {
  const found = new Set<string>();
  const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.ts'));
  for (const file of files) {
    let owner = '';
    let internal = false;
    for (const line of readFileSync(new URL(file, SOURCE), 'utf8').split('\n')) {
      owner = /^(?:export )?(?:abstract )?class (\w+)/.exec(line)?.[1] ?? owner;
      const code = line.replace(/\/\*\*.*\*\//, '');
      if (line.includes('@internal')) internal = true;
      const name = /^\s+(?:protected |static |override |abstract |readonly |async |get |set |\*)*(\w+)/.exec(
        code,
      )?.[1];
      if (name === undefined) continue;
      if (internal || /^\s+protected /.test(code)) found.add(`${owner}.${name}`);
      internal = false;
    }
  }
  return found;
}

type Class = abstract new (...given: never[]) => unknown;

function isClass(value: unknown): value is Class {
  return typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));
}

/** Names of an object's own functions, accessors and constructors aside. */
function functionsOf(owner: object): string[] {
  return Object.entries(Object.getOwnPropertyDescriptors(owner))
    .filter(([name, { value }]) => name !== 'constructor' && typeof value === 'function')
    .map(([name]) => name);
}

/** Every public call; the classes that are exported as types alone are reached through `rt`. */
export function publicCalls(rt: api.Runtime): string[] {
  const internal = internalNames();
  const names = new Set<string>();
  const visit = (found: Class): void => {
    const { name } = found;
    if (name === '' || names.has(name)) return;
    names.add(name);
    for (const method of [...functionsOf(found), ...functionsOf(found.prototype as object)])
      if (!internal.has(`${name}.${method}`)) names.add(`${name}.${method}`);
    const parent: unknown = Object.getPrototypeOf(found);
    if (isClass(parent)) visit(parent);
  };
  for (const [name, value] of [...Object.entries(api), ...Object.entries(models), ...Object.entries(train)]) {
    if (isClass(value)) visit(value);
    else if (typeof value === 'function') names.add(name);
    else if (typeof value === 'object')
      for (const method of functionsOf(value)) names.add(`${name}.${method}`);
  }
  const [parameter] = new api.Linear(rt, 1, 1).parameters();
  for (const value of [rt, parameter!]) visit(value.constructor as Class);
  return [...names].sort();
}

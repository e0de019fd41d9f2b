/** Every name on docs/api.md is one of the package: an export, a member of an exported class, or an option that is declared. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import * as formats from '../../src/formats/index.js';
import * as main from '../../src/index.js';
import * as models from '../../src/models/index.js';
import * as node from '../../src/node.js';
import * as train from '../../src/train/index.js';

const ROOT = new URL('../../', import.meta.url);
const PAGE = readFileSync(new URL('docs/api.md', ROOT), 'utf8');
/** What the page calls a runtime and a model, and words of JavaScript. */
const VARIABLES = [
  'rt',
  'lora',
  'await',
  'fn',
  'name',
  'folder',
  'path',
  'source',
  'data',
  'x',
  'axes',
  'factor',
];
const BUILT_IN = ['TypeError', 'RangeError'];
const EXPORTS: Readonly<Record<string, unknown>> = { ...main, ...formats, ...models, ...train, ...node };

/** Names of methods and accessors, inherited ones too. */
function membersOf(value: unknown): string[] {
  const names: string[] = [];
  for (let owner = value; owner !== null && owner !== Object.prototype; owner = Object.getPrototypeOf(owner))
    names.push(...Object.getOwnPropertyNames(owner));
  return names;
}

async function members(): Promise<Set<string>> {
  const rt = await main.createRuntime();
  const classes = Object.values(EXPORTS).filter((value) => typeof value === 'function');
  const names = [rt, rt.zeros([1]), ...classes, ...classes.map((one) => one.prototype as unknown)];
  const found = new Set(names.filter((one) => one !== undefined).flatMap(membersOf));
  rt.dispose();
  return found;
}

/** Options and fields, as they are declared. */
function options(): Set<string> {
  const files = readdirSync(new URL('src/', ROOT), { encoding: 'utf8', recursive: true });
  const texts = files
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(new URL(`src/${path}`, ROOT), 'utf8'));
  return new Set(
    texts.flatMap((text) =>
      [...text.matchAll(/^ {2}(?:readonly )?(\w+)\??(?:: | = )/gm)].map(([, name]) => name!),
    ),
  );
}

test('every name of the page is found among the exports, their members and their options', async () => {
  const known = new Set([
    ...Object.keys(EXPORTS),
    ...VARIABLES,
    ...BUILT_IN,
    ...(await members()),
    ...options(),
  ]);
  const spans = [...PAGE.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);
  const code = spans.filter((span) => !/^npx |^lora-wasm|\/|\.ts$/.test(span));
  const names = code.flatMap((span) => span.match(/[A-Za-z_]\w*/g) ?? []);
  expect(names.length).toBeGreaterThan(150);
  expect([...new Set(names.filter((name) => !known.has(name)))]).toEqual([]);
});

test('what stands alone and begins with a capital is an export', () => {
  const alone = [...PAGE.matchAll(/`([A-Z]\w+)`/g)].map(([, name]) => name!);
  expect(alone.filter((name) => !(name in EXPORTS) && !BUILT_IN.includes(name))).toEqual([]);
});

test('every class and function that is exported stands on the page, but those of file formats', () => {
  const missing = Object.keys(main).filter((name) => !new RegExp(`\\b${name}\\b`).test(PAGE));
  expect(missing).toEqual([]);
});

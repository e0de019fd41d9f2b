/**
 * The rooms of `src/` import downwards only, in the order that docs/architecture.md gives, and no file imports itself by way of others.
 * Only imports of values count: a type is gone when the code runs.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = new URL('../../', import.meta.url);
const PAGE = readFileSync(new URL('docs/architecture.md', ROOT), 'utf8');

/** From the bottom; rooms in one line do not import each other. */
const ROOMS = [
  ['values', 'platform', 'vendor'],
  ['engine', 'patterns'],
  ['tensor', 'formats'],
  ['ops'],
  ['nn'],
  ['lora', 'optim', 'models'],
  ['train'],
];
const LORA = [
  ['errors'],
  ['config'],
  ['maths'],
  ['kinds'],
  ['layer'],
  ['attached'],
  ['combining', 'files', 'merging'],
  ['wrapped-model'],
  ['lora-model'],
];

/** The modules that run before a file does, as paths in `src/`: all but those of `import type`. */
function importsOf(path: string): string[] {
  const text = readFileSync(new URL(`src/${path}`, ROOT), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
  const statements = text.matchAll(/^(?:import|export) (?!type )([^;'"]*?)(?: from )?'(\.[^']+)';/gm);
  const dynamic = text.matchAll(/()import\('(\.[^']+)'\)/g);
  return [...statements, ...dynamic].map(([, , from]) =>
    posix.join(posix.dirname(path), from!).replace(/\.js$/, '.ts'),
  );
}

const FILES = readdirSync(new URL('src/', ROOT), { encoding: 'utf8', recursive: true })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.ts'));
const IMPORTS = new Map(FILES.map((path) => [path, importsOf(path)]));

/** Imports that do not go from a later line of `order` to an earlier one; `roomOf` is null for what is in no room. */
function upwards(order: readonly (readonly string[])[], roomOf: (path: string) => string | null): string[] {
  const heightOf = (room: string): number => order.findIndex((line) => line.includes(room));
  return [...IMPORTS].flatMap(([path, targets]) => {
    const from = roomOf(path);
    if (from === null) return [];
    return targets.flatMap((target) => {
      const to = roomOf(target);
      if (to === null || to === from || heightOf(to) < heightOf(from)) return [];
      return [`${path} imports ${target}`];
    });
  });
}

/** Files that reach one another, as lists; by Tarjan. */
function circles(): string[][] {
  const [order, low] = [new Map<string, number>(), new Map<string, number>()];
  const open: string[] = [];
  const found: string[][] = [];
  const visit = (path: string): void => {
    order.set(path, order.size);
    low.set(path, order.get(path)!);
    open.push(path);
    for (const target of IMPORTS.get(path) ?? []) {
      if (!order.has(target)) visit(target);
      if (open.includes(target)) low.set(path, Math.min(low.get(path)!, low.get(target)!));
    }
    if (low.get(path) !== order.get(path)) return;
    const circle = open.splice(open.indexOf(path));
    if (circle.length > 1) found.push(circle.sort());
  };
  for (const path of FILES) if (!order.has(path)) visit(path);
  return found;
}

test('every import is of a file that is there, and most files have some', () => {
  expect([...IMPORTS].flatMap(([, targets]) => targets.filter((target) => !IMPORTS.has(target)))).toEqual([]);
  expect([...IMPORTS.values()].flat().length).toBeGreaterThan(2 * FILES.length);
});

test('rooms import downwards only', () => {
  const rooms = ROOMS.flat();
  const roomOf = (path: string): string | null => rooms.find((room) => path.startsWith(`${room}/`)) ?? null;
  expect(upwards(ROOMS, roomOf)).toEqual([]);
});

test('lora and models may import formats, and what is below it imports none of them', () => {
  const below = ['engine', 'tensor', 'ops', 'nn', 'optim', 'values', 'platform', 'vendor', 'patterns'];
  const wrong = [...IMPORTS].flatMap(([path, targets]) =>
    below.includes(path.split('/')[0]!) ? targets.filter((target) => target.startsWith('formats/')) : [],
  );
  expect(wrong).toEqual([]);
  const runtime = /^(engine|tensor|ops|nn|lora|optim|models|train)\//;
  const ofFormats = [...IMPORTS].flatMap(([path, targets]) =>
    path.startsWith('formats/') ? targets.filter((target) => runtime.test(target)) : [],
  );
  expect(ofFormats).toEqual([]);
});

test('the rooms of lora import downwards only', () => {
  const roomOf = (path: string): string | null => /^lora\/([\w-]+)/.exec(path)?.[1] ?? null;
  expect(upwards(LORA, roomOf)).toEqual([]);
});

/** Where words of tensors' names may stand: the tables of them, and fields of PEFT's config that are called alike. */
const TABLES = ['peft-keys', 'factor-names', 'peft-config', 'peft-config-read'].map(
  (name) => `formats/${name}.ts`,
);
const WORDS =
  /[`'".}]lora_(?:[ABab]\b|embedding_|magnitude_|up\b|down\b)|base_layer|original_module|modules_to_save|dora_scale/;

test('what an adapter’s tensors are called stands in the tables of formats, and nowhere else', () => {
  const spelling = FILES.filter((path) => {
    const text = readFileSync(new URL(`src/${path}`, ROOT), 'utf8');
    return WORDS.test(text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/ .*/g, ''));
  });
  expect(spelling.sort()).toEqual([...TABLES].sort());
});

test('PEFT’s two files are opened in one place and written in one, a model’s adapter too', () => {
  const importers = (target: string): string[] =>
    FILES.filter(
      (path) => path !== 'formats/index.ts' && IMPORTS.get(path)!.includes(`formats/${target}.ts`),
    );
  expect(importers('peft-config-read')).toEqual(['formats/peft-open.ts']);
  expect(importers('peft-config-write')).toEqual(['formats/peft-write.ts']);
  expect(importers('peft-open')).toEqual(['formats/peft-read.ts', 'lora/files/load-adapter.ts']);
});

test('no files import each other in a circle', () => {
  expect(circles()).toEqual([]);
});

test('the page names every room, and gives the orders that are held here', () => {
  const rooms = [...new Set(FILES.filter((path) => path.includes('/')).map((path) => path.split('/')[0]!))];
  expect(rooms.filter((room) => !new RegExp(`^  ${room}/`, 'm').test(PAGE))).toEqual([]);
  for (const order of [ROOMS, LORA])
    expect(PAGE).toContain(`\`${order.map((line) => line.join(', ')).join(' < ')}\``);
});

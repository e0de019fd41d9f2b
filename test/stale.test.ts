/** Over a small folder: when a build counts as made. */
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Build, buildIfStale } from '../scripts/build/stale.js';

const BUILD: Build = { name: 'thing', script: 'build:thing', made: ['out.js'], sources: ['src', 'set.json'] };

let root = '';
let now = 1000;
let runs = 0;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'lora-wasm-stale-'));
  mkdirSync(join(root, 'src'));
  runs = 0;
  vi.spyOn(console, 'log').mockImplementation(() => {});
  write('src/a.ts', 'a');
  write('set.json', '{}');
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Every file is younger than the one before. */
function write(file: string, text: string): void {
  writeFileSync(join(root, file), text);
  now += 10;
  utimesSync(join(root, file), now, now);
}

/** Whether it is built now. */
function isBuilt(): boolean {
  const before = runs;
  buildIfStale(BUILD, root, () => {
    runs++;
    write('out.js', 'made');
  });
  return runs > before;
}

test('what was never made is built, and once', () => {
  expect([isBuilt(), isBuilt(), isBuilt()]).toEqual([true, false, false]);
});

test('what was built by hand before the first test is not built again', () => {
  write('out.js', 'by hand');
  expect(isBuilt()).toBe(false);
});

test('a source of another content, a new one, and one that is gone are built in', () => {
  isBuilt();
  write('set.json', '{"a":1}');
  expect([isBuilt(), isBuilt()]).toEqual([true, false]);
  write('src/b.ts', 'b');
  expect([isBuilt(), isBuilt()]).toEqual([true, false]);
  rmSync(join(root, 'src/b.ts'));
  expect([isBuilt(), isBuilt()]).toEqual([true, false]);
});

test('a source that is younger and what it was costs no build, unless another was built in between', () => {
  isBuilt();
  write('src/a.ts', 'a');
  expect(isBuilt()).toBe(false);
  write('src/a.ts', 'other');
  write('out.js', 'by hand, of the other');
  write('src/a.ts', 'a');
  expect(isBuilt()).toBe(true);
});

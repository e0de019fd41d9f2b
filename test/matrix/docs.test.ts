/** The support tables and the code of docs/browser.md are what the results and the example say. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { supportSummary, supportTable, writtenPages } from './docs.js';
import type { Results } from './results.js';

const ROOT = new URL('../../', import.meta.url);

test.each([...writtenPages()])('%s is what npm run test:matrix -- --docs makes of it', (path, text) => {
  expect(readFileSync(new URL(path, ROOT), 'utf8')).toBe(text);
});

const RESULTS: Results = {
  ...{ date: '2026-01-02', commit: 'abc', node: '20.0.0', chromium: '150', system: 'linux' },
  rows: [
    { name: 'A', status: 'passed', add: 'nothing', threads: 'headers', kernels: 'simd', twoThreads: true },
    { name: 'B', status: 'passed', add: 'a line', threads: null, kernels: 'simd', twoThreads: false },
    { name: 'C', status: 'failed', add: 'nothing', threads: 'headers', reason: 'it broke' },
    { name: 'D', status: 'skipped', add: 'nothing', threads: 'headers', reason: 'no such package\nat all' },
    { name: 'E', status: 'passed', add: 'nothing' },
    { name: 'F', status: 'passed', add: 'refused', listed: false },
  ],
};

test('a row that failed or was not tried says so, and has no threads', () => {
  const lines = supportTable(RESULTS).split('\n').slice(4);
  expect(lines).toEqual([
    '| A | yes | nothing | headers | `simd` |',
    '| B | yes | a line | one thread | `simd` |',
    '| C | no | nothing |  |  |',
    '| D | not tried: no such package | nothing |  |  |',
    '| E | yes | nothing |  |  |',
  ]);
});

test('the short form names what ran, with and without a line more', () => {
  expect(supportSummary(RESULTS)).toBe(
    '- As it stands: A.\n- With [one line more](docs/bundlers.md#support): B.',
  );
});

/** The tables of docs/reliability.md name tests that exist; titles say what holds, and nothing is skipped for good. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const ROOT = new URL('../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');
const DOC = read('docs/reliability.md');

/** Report, title and file of every row of the last table. */
const ROWS = [...DOC.matchAll(/^\| ([A-E]\d+) \| (.+) \| `(.+)` \|$/gm)].map(([, report, title, file]) => ({
  report: report!,
  title: title!,
  file: file!,
}));

const SUITES = readdirSync(new URL('test/', ROOT), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.test.ts'))
  .map((path) => ({ path, text: read(`test/${path}`) }));

test.each(ROWS)('$report: $file holds "$title"', ({ title, file }) => {
  const titles = read(file).match(/(?<quote>['"`])(?:(?!\k<quote>|\n).)+\k<quote>/g) ?? [];
  expect(titles.filter((text) => text.includes(title)).length).toBeGreaterThan(0);
});

test('every report has a row, in order', () => {
  const reports = [...new Set(ROWS.map(({ report }) => report))];
  const numbers = (letter: string): number[] =>
    reports.filter((report) => report.startsWith(letter)).map((report) => Number(report.slice(1)));
  expect(numbers('A')).toEqual([1, 3, 4, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 19, 20, 22, 23, 24, 25, 27]);
  expect(numbers('B')).toEqual([1, 2, 4, 5, 8, 9, 10, 12, 13, 15]);
  expect(numbers('C')).toEqual([1, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 20]);
  expect(numbers('D')).toEqual([1, 2, 3, 4, 6, 7, 8, 9, 10, 12]);
});

test('every file of tests that the page names is there', () => {
  const named = [...DOC.matchAll(/`(test\/[\w./-]+)`/g)].map(([, path]) => path!);
  expect(named.length).toBeGreaterThan(20);
  for (const path of named) expect(existsSync(new URL(path, ROOT)), path).toBe(true);
});

test('no title of a test begins with the number of a report', () => {
  for (const { path, text } of SUITES) expect(text.match(/['"`][A-E]\d{1,2} [^'"`\n]*/g), path).toBeNull();
});

test('no test is skipped everywhere', () => {
  const skipped = SUITES.filter(({ path }) => !path.startsWith('browser/')).flatMap(({ text }) =>
    [...text.matchAll(/^ *(?:test|it|describe)\.(?:skip|todo)\('(.*?)'/gm)].map(([, title]) => title!),
  );
  expect(skipped).toEqual([]);
});

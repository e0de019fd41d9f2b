/** Files, and in the sources functions and lists of parameters, are of a size that is read at one go. Other people's code is left as it is. */
import { readdirSync, readFileSync } from 'node:fs';
import ts from 'typescript';
import { expect, test } from 'vitest';

const ROOT = new URL('../../', import.meta.url);

const LEFT_OUT = /\bnode_modules\b|^src\/vendor\//;

function filesIn(...folders: readonly string[]): string[] {
  return folders.flatMap((folder) =>
    readdirSync(new URL(`${folder}/`, ROOT), { encoding: 'utf8', recursive: true })
      .map((path) => `${folder}/${path.replaceAll('\\', '/')}`)
      .filter((path) => path.endsWith('.ts') && !LEFT_OUT.test(path)),
  );
}

const FILES = filesIn('src', 'reference', 'scripts');
const TESTS = filesIn('test');
const TEXTS = new Map([...FILES, ...TESTS].map((path) => [path, readFileSync(new URL(path, ROOT), 'utf8')]));

/** Every function of a file: where it is, its lines and its parameters. */
function functionsOf(path: string): { readonly place: string; lines: number; parameters: number }[] {
  const source = ts.createSourceFile(path, TEXTS.get(path)!, ts.ScriptTarget.Latest, true);
  const lineOf = (at: number): number => source.getLineAndCharacterOfPosition(at).line + 1;
  const found: ReturnType<typeof functionsOf> = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const begin = lineOf(node.getStart());
      const lines = lineOf(node.end) - begin + 1;
      found.push({ place: `${path}:${begin}`, lines, parameters: node.parameters.length });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const FUNCTIONS = FILES.flatMap(functionsOf);

test('a file has at most 250 lines', () => {
  expect(FILES.length).toBeGreaterThan(300);
  expect(TESTS.length).toBeGreaterThan(300);
  const long = [...FILES, ...TESTS].filter((path) => TEXTS.get(path)!.trimEnd().split('\n').length > 250);
  expect(long).toEqual([]);
});

test('a function has at most 60 lines, and 6 parameters', () => {
  expect(FUNCTIONS.length).toBeGreaterThan(2 * FILES.length);
  const places = (wrong: typeof FUNCTIONS): string[] => wrong.map(({ place }) => place);
  expect(places(FUNCTIONS.filter(({ lines }) => lines > 60))).toEqual([]);
  expect(places(FUNCTIONS.filter(({ parameters }) => parameters > 6))).toEqual([]);
});

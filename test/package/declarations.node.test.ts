/**
 * The published declarations: that they compile as a program of a user's own without any library but the language's, and that
 * what each entry exports is the committed list, in the types and in JavaScript.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { beforeAll, expect, test } from 'vitest';
import { hideInternals } from '../../scripts/build/hide-internals.js';

const DIST = new URL('../../dist/', import.meta.url);
/** Names by entry; what is a type alone has the word before it. A new name is a decision: it is written there by hand. */
const COMMITTED: Readonly<Record<string, readonly string[]>> = JSON.parse(
  readFileSync(new URL('./public-names.json', import.meta.url), 'utf8'),
);
const DECLARATIONS: Readonly<Record<string, string>> = {
  'lora-wasm': 'index.d.ts',
  'lora-wasm/inline': 'inline/index.d.ts',
  'lora-wasm/inline, CommonJS': 'inline/index.d.cts',
  'lora-wasm/formats': 'formats/index.d.ts',
  'lora-wasm/models': 'models/index.d.ts',
  'lora-wasm/train': 'train/index.d.ts',
  'lora-wasm/node': 'node.d.ts',
};
const MODULES: Readonly<Record<string, string>> = {
  'lora-wasm': 'index.js',
  'lora-wasm/inline': 'inline/simd.js',
  'lora-wasm/inline, CommonJS': 'inline/simd.cjs',
  'lora-wasm/formats': 'formats/index.js',
  'lora-wasm/models': 'models/index.js',
  'lora-wasm/train': 'train/index.js',
  'lora-wasm/node': 'node.js',
};
const ENTRIES = Object.keys(DECLARATIONS);

const fileOf = (entry: string): string => fileURLToPath(new URL(DECLARATIONS[entry]!, DIST));
/** `lora-wasm/inline` has what `lora-wasm` has. */
const committed = (entry: string): readonly string[] => COMMITTED[entry.replace(/\/inline.*/, '')]!;

let program: ts.Program;

beforeAll(() => {
  program = ts.createProgram({
    rootNames: ENTRIES.map(fileOf),
    options: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.NodeNext,
      lib: ['lib.es2022.d.ts'],
      types: [],
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      noEmit: true,
    },
  });
});

test('the declarations compile without the types of a page or of Node, nothing skipped', () => {
  const messages = ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
  expect(messages).toEqual([]);
});

/** What a program may write after importing the entry: a type that is exported as one is no value, whatever it is. */
function namesIn(entry: string): string[] {
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(fileOf(entry))!;
  const typeOnly = new Set(
    source.statements.filter(ts.isExportDeclaration).flatMap(({ isTypeOnly, exportClause }) => {
      if (exportClause === undefined || !ts.isNamedExports(exportClause))
        throw new Error(`${entry}: no names`);
      return isTypeOnly ? exportClause.elements.map(({ name }) => name.text) : [];
    }),
  );
  const names = checker.getExportsOfModule(checker.getSymbolAtLocation(source)!).map(({ name }) => name);
  return names.map((name) => (typeOnly.has(name) ? `type ${name}` : name)).sort();
}

test.each(ENTRIES)('%s declares the names of the list', (entry) => {
  expect(namesIn(entry)).toEqual(committed(entry));
});

test.each(ENTRIES)('%s exports the values of the list', async (entry) => {
  const module: object = await import(/* @vite-ignore */ new URL(MODULES[entry]!, DIST).href);
  const values = Object.keys(module).filter((name) => name !== 'default' && name !== 'module.exports');
  expect(values.sort()).toEqual(committed(entry).filter((name) => !name.startsWith('type ')));
});

test('nothing internal is declared', () => {
  const code = readFileSync(new URL('types.d.ts', DIST), 'utf8');
  for (const word of [
    '@internal',
    'interface Kernels',
    'class Engine',
    'class Storage',
    'parameterSlots',
    'linearAs',
  ])
    expect(code).not.toContain(word);
  expect(code).toContain('[Symbol.dispose](): void;');
});

test('hiding takes what is internal with what only it speaks of, and closes an internal constructor', () => {
  const code = `/** A file's header. */

interface Hidden { member: Deeper; }
interface Deeper { value: number; }
interface Shown { value: number; }
declare abstract class Base implements Hidden {
    /** @internal */
    constructor(hidden: Hidden);
    /** @internal */
    member: Deeper;
    /** @internal */
    get twice(): number;
    set twice(value: number);
    shown(): Shown;
}
declare class Derived extends Base {
    member: Deeper;
    own(): Derived;
}
/** @internal */
declare function helper(hidden: Hidden): void;
export { Base, Derived };
`;
  const lines = hideInternals(code)
    .split('\n')
    .map((line) => line.trim());
  expect(lines.filter((line) => line !== '')).toEqual([
    'interface Shown { value: number; }',
    'declare abstract class Base {',
    'protected constructor();',
    'shown(): Shown;',
    '}',
    'declare class Derived extends Base {',
    'own(): Derived;',
    '}',
    'export { Base, Derived };',
  ]);
});

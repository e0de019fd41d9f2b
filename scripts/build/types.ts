/**
 * The published declarations: what `tsc` wrote beside each module rolled up into `dist/types.d.ts`, without what is internal,
 * and for every entry a file that says which of it the entry exports. One file holds all, so that `LoraModel` is one type in
 * `lora-wasm` and `lora-wasm/node`. CommonJS has a copy, since it may not name a module's types.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { rollup } from 'rollup';
import { dts } from 'rollup-plugin-dts';
import ts from 'typescript';
import { hideInternals } from './hide-internals.js';
import { DIST } from './paths.js';

/** Entries with declarations, by the path of their JavaScript in dist, without its ending. */
export const TYPED_ENTRIES = ['index', 'formats/index', 'models/index', 'train/index', 'node'] as const;

/** A name that an entry exports. */
interface Exported {
  readonly name: string;
  /** The module that declares it, from dist. */
  readonly from: string;
  /** It is no value there, whatever it is where it comes from. */
  readonly typeOnly: boolean;
}

/** `using` and its symbol are younger than the libraries that most programs compile with. */
const HEADER = '/// <reference lib="esnext.disposable" />\n';

/** @throws Error where a name stands for two things */
export async function buildTypes(): Promise<void> {
  const entries = new Map(TYPED_ENTRIES.map((entry) => [entry, namesOf(entry)]));
  const all = `${DIST}all.d.ts`;
  writeFileSync(all, everything([...entries.values()].flat()));
  const rolled = HEADER + hideInternals(await rollUp(all));
  for (const file of readdirSync(DIST, { recursive: true, encoding: 'utf8' }))
    if (file.endsWith('.d.ts')) rmSync(join(DIST, file));
  for (const ending of ['ts', 'cts']) writeFileSync(`${DIST}types.d.${ending}`, rolled);
  for (const [entry, exported] of entries) writeEntry(`${entry}.d.ts`, exported, 'types.js');
  mkdirSync(`${DIST}inline`, { recursive: true });
  writeEntry('inline/index.d.ts', entries.get('index')!, 'types.js');
  writeEntry('inline/index.d.cts', entries.get('index')!, 'types.cjs');
}

function writeEntry(file: string, exported: readonly Exported[], types: string): void {
  const from = `${dirname(file) === '.' ? './' : '../'}${types}`;
  const list = (typeOnly: boolean) =>
    exported
      .filter((one) => one.typeOnly === typeOnly)
      .map(({ name }) => name)
      .join(', ');
  const text = `export { ${list(false)} } from '${from}';\nexport type { ${list(true)} } from '${from}';\n`;
  writeFileSync(`${DIST}${file}`, text);
}

/** A module that exports what all entries do. @throws Error where a name stands for two things */
function everything(exported: readonly Exported[]): string {
  const sources = new Map<string, string>();
  for (const { name, from } of exported) {
    const other = sources.get(name) ?? from;
    if (other !== from) throw new Error(`build: ${name} is exported from ${from} and from ${other}`);
    sources.set(name, from);
  }
  return [...sources].map(([name, from]) => `export { ${name} } from './${from}';\n`).join('');
}

async function rollUp(entry: string): Promise<string> {
  const bundle = await rollup({
    input: entry,
    plugins: [dts()],
    onwarn(warning) {
      throw new Error(`build: ${warning.message}`);
    },
  });
  const { output } = await bundle.generate({ format: 'es' });
  await bundle.close();
  if (output.length !== 1) throw new Error(`build: ${output.length} files of declarations, expected one`);
  return output[0].code;
}

function namesOf(entry: string): Exported[] {
  const path = `${DIST}${entry}.d.ts`;
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
  const names = source.statements.flatMap((statement) =>
    ts.isExportDeclaration(statement) ? passedOn(entry, statement) : declaredIn(entry, statement),
  );
  return names.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** @throws Error where it has no names */
function passedOn(entry: string, statement: ts.ExportDeclaration): Exported[] {
  const { exportClause, moduleSpecifier, isTypeOnly } = statement;
  if (exportClause === undefined || !ts.isNamedExports(exportClause) || moduleSpecifier === undefined)
    throw new Error(`build: ${entry} has '${statement.getText()}', expected names from a module`);
  const from = join(dirname(entry), (moduleSpecifier as ts.StringLiteral).text);
  return exportClause.elements.map((one) => {
    if (one.propertyName !== undefined)
      throw new Error(`build: ${entry} exports ${one.getText()}, expected its own name`);
    return { name: one.name.text, from, typeOnly: isTypeOnly || one.isTypeOnly };
  });
}

function declaredIn(entry: string, statement: ts.Statement): Exported[] {
  if (!ts.canHaveModifiers(statement) || !isExported(statement)) return [];
  const { name } = statement as ts.DeclarationStatement;
  if (name === undefined)
    throw new Error(`build: ${entry} has '${statement.getText()}', expected a name to export`);
  const typeOnly = ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement);
  return [{ name: name.text, from: `${entry}.js`, typeOnly }];
}

function isExported(statement: ts.HasModifiers): boolean {
  return ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false;
}

/**
 * The files of a row's program: those of `fixture/`, the README's quickstart as it stands, and the same as a function. A row
 * may import another entry of the package in place of `lora-wasm`, and give options to `createRuntime`.
 */
import { readFileSync } from 'node:fs';
import { extractQuickstart } from '../browser/quickstart.js';

const README = new URL('../../README.md', import.meta.url);

export interface FixtureOptions {
  /** What the package is imported as; `lora-wasm`. One that begins with `./` is a path from the project. */
  readonly from?: string;
  /** The same where two threads are asked for; `from`. */
  readonly fromForTwo?: string;
  /** A module that exports `options` for `createRuntime`; none. */
  readonly options?: string;
}

/** Replaces what must be there. @throws Error where the quickstart no longer has it */
function replaced(code: string, text: string, by: string): string {
  if (!code.includes(text)) throw new Error(`the quickstart has no ${text}`);
  return code.replace(text, () => by);
}

function parts(quickstart: string): { imports: string; body: string } {
  const [, imports, body] = /^(import [^;]*;)\n([\s\S]*)$/.exec(quickstart) ?? [];
  if (imports === undefined || body === undefined)
    throw new Error('the quickstart does not begin with an import');
  return { imports, body };
}

/** The quickstart as `train(options)`, which returns what the quickstart prints. */
function trainModule(quickstart: string): string {
  const { imports, body } = parts(quickstart);
  const code = replaced(
    replaced(body, 'createRuntime({ ', 'createRuntime({ ...options, '),
    "console.log(lora.summary().toString(), 'loss', rt.scope(heldOut));",
    'const [summary, loss] = [lora.summary().toString(), rt.scope(heldOut)];',
  );
  return `${imports}\n\nexport async function train(options) {\n${code}return { rt, summary, loss };\n}\n`;
}

/** The README's quickstart, letter for letter. */
export function quickstart(): string {
  return extractQuickstart(readFileSync(README, 'utf8'));
}

/** The quickstart as a function `quickstart()`, for tools without top-level `await`. */
export function quickstartFunction(): string {
  const { imports, body } = parts(quickstart());
  return `${imports}\n\nexport async function quickstart() {\n${body}}\n`;
}

function fixture(name: string): string {
  return readFileSync(new URL(`./fixture/${name}`, import.meta.url), 'utf8');
}

/** Imports the package as something else. */
export function importFrom(code: string, from: string): string {
  return code.replaceAll("from 'lora-wasm'", `from '${from}'`);
}

/** File name to text. */
export function fixtureFiles({
  from = 'lora-wasm',
  fromForTwo = from,
  options,
}: FixtureOptions = {}): Map<string, string> {
  const files = new Map<string, string>();
  for (const name of ['check.js', 'page.js', 'print.js', 'index.html']) files.set(name, fixture(name));
  files.set('options.js', options ?? 'export const options = {};\n');
  const given = `import { options } from './options.js';\n`;
  const unchanged = quickstart();
  const code =
    options === undefined
      ? unchanged
      : given + replaced(unchanged, 'createRuntime({ ', 'createRuntime({ ...options, ');
  files.set('quickstart.js', importFrom(code, from));
  for (const [folder, entry] of [
    ['one', from],
    ['two', fromForTwo],
  ] as const) {
    const inFolder = entry.startsWith('./') ? `.${entry}` : entry;
    files.set(`${folder}/run.js`, fixture('run.js'));
    files.set(`${folder}/product.js`, importFrom(fixture('product.js'), inFolder));
    files.set(`${folder}/train.js`, importFrom(trainModule(unchanged), inFolder));
  }
  return files;
}

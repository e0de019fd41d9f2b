/**
 * Vite plugin that makes the README's quickstart importable: `virtual:quickstart/auto` as it stands, and
 * `virtual:quickstart/simd` and `.../relaxed-simd` with the kernels chosen. Importing one runs it. So does
 * `virtual:quickstart/page`, the script of the README's page, whose markup `virtual:quickstart/markup` is.
 */
import { readFileSync } from 'node:fs';
import ts from 'typescript';
import type { Plugin } from 'vitest/config';

const PREFIX = 'virtual:quickstart/';
const README = new URL('../../README.md', import.meta.url);

/** The first TypeScript block under a heading that says Quickstart. @throws Error when there is none */
export function extractQuickstart(readme: string): string {
  const heading = /^#+ .*quickstart/im.exec(readme);
  const found = /^```ts\n([\s\S]*?)^```/m.exec(heading === null ? '' : readme.slice(heading.index));
  if (found?.[1] === undefined) throw new Error('README.md: no ts block under a Quickstart heading');
  return found[1];
}

/** The README's page: what stands before its script, and the script. @throws Error when there is none */
function extractPage(readme: string): { markup: string; script: string } {
  const [, markup, script] =
    /^```html\n([\s\S]*?)<script type="module">\n([\s\S]*?)<\/script>/m.exec(readme) ?? [];
  if (markup === undefined || script === undefined) throw new Error('README.md: no html block with a script');
  return { markup, script };
}

function stripTypes(code: string): string {
  const { ESNext } = ts.ScriptTarget;
  const options = { target: ESNext, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true };
  return ts.transpileModule(code, { compilerOptions: options }).outputText;
}

export function quickstart(): Plugin {
  return {
    name: 'lora-wasm:quickstart',
    enforce: 'pre',
    resolveId(id) {
      return id.startsWith(PREFIX) ? `\0${id}` : null;
    },
    load(id) {
      if (!id.startsWith(`\0${PREFIX}`)) return null;
      const kernels = id.slice(PREFIX.length + 1);
      const readme = readFileSync(README, 'utf8');
      if (kernels === 'page') return extractPage(readme).script;
      if (kernels === 'markup') return `export default ${JSON.stringify(extractPage(readme).markup)};`;
      const code = stripTypes(extractQuickstart(readme));
      if (kernels === 'auto') return code;
      const chosen = code.replace(/createRuntime\((?:\{ |\))/, (call) =>
        call.endsWith(')')
          ? `createRuntime({ kernels: '${kernels}' })`
          : `createRuntime({ kernels: '${kernels}', `,
      );
      if (chosen === code) throw new Error('README.md: the quickstart makes no runtime');
      return chosen;
    },
  };
}

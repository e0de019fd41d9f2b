/**
 * The published declarations, compiled as users do: every major TypeScript, with the DOM's types, with Node's, and with neither,
 * nothing skipped; then are-the-types-wrong and publint over the tarball.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { quickstart } from '../fixture.js';
import { command, makeProject, version } from '../project.js';
import { NOTHING, type Row } from '../row.js';

const VERSIONS = ['typescript5.7', 'typescript5', 'typescript6', 'typescript7'] as const;

interface Setting {
  readonly lib: readonly string[];
  readonly types: readonly string[];
  readonly moduleResolution: 'nodenext' | 'bundler';
  /** What is compiled: `lora-wasm/node` needs Node's types. */
  readonly files: readonly string[];
}

const EVERYWHERE = ['quickstart.ts', 'entries.ts'];

const SETTINGS: Readonly<Record<string, Setting>> = {
  dom: { lib: ['es2022', 'dom'], types: [], moduleResolution: 'nodenext', files: EVERYWHERE },
  'dom-bundler': { lib: ['es2022', 'dom'], types: [], moduleResolution: 'bundler', files: EVERYWHERE },
  node: {
    lib: ['es2022'],
    types: ['node'],
    moduleResolution: 'nodenext',
    files: [...EVERYWHERE, 'node-entry.ts', 'required.cts'],
  },
  neither: {
    lib: ['es2022'],
    types: [],
    moduleResolution: 'nodenext',
    files: [...EVERYWHERE, 'console.d.ts'],
  },
};

/** Every entry, and a runtime that ends by itself: `using` is what `Symbol.dispose` is for. */
const ENTRIES = `import * as whole from 'lora-wasm';
import * as formats from 'lora-wasm/formats';
import * as inline from 'lora-wasm/inline';
import * as relaxed from 'lora-wasm/inline/relaxed-simd';
import type { RuntimeOptions, StateDict, Tensor } from 'lora-wasm';

export const entries: unknown[] = [whole, formats, inline, relaxed];
export async function use(options: RuntimeOptions, state: StateDict): Promise<Tensor> {
  const rt = await whole.createRuntime(options);
  const layer = new whole.Linear(rt, 4, 3);
  layer.loadStateDict(state);
  using inlined: inline.Runtime = await inline.createRuntime({ threads: 1, wasm: new Uint8Array(8) });
  const same: whole.Runtime = inlined;
  same.dispose();
  return layer.forward(rt.zeros([2, 4]));
}
`;

const FILES: Readonly<Record<string, string>> = {
  'entries.ts': ENTRIES,
  'console.d.ts': 'declare const console: { log(...values: unknown[]): void };\n',
  'node-entry.ts': "import * as node from 'lora-wasm/node';\nexport const entries: unknown[] = [node];\n",
  'required.cts': "import inline = require('lora-wasm/inline');\nexport const make = inline.createRuntime;\n",
};

function config({ lib, types, moduleResolution, files }: Setting): string {
  return JSON.stringify({
    compilerOptions: {
      target: 'es2022',
      module: moduleResolution === 'bundler' ? 'esnext' : 'nodenext',
      moduleResolution,
      lib,
      types,
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      noEmit: true,
    },
    files,
  });
}

async function typesProject(tarball: string, tools: readonly string[], name: string): Promise<string> {
  const files = new Map(Object.entries(FILES));
  files.set('quickstart.ts', quickstart());
  for (const [setting, value] of Object.entries(SETTINGS))
    files.set(`tsconfig.${setting}.json`, config(value));
  return makeProject(name, tarball, { tools, files });
}

function compiles(tool: (typeof VERSIONS)[number]): Row {
  return {
    name: `types, TypeScript ${version(tool).split('.').slice(0, 2).join('.')}`,
    quick: true,
    add: NOTHING,
    async run(tarball) {
      const folder = await typesProject(tarball, [tool, '@types/node'], `types-${tool}`);
      for (const setting of Object.keys(SETTINGS)) {
        const args = [`node_modules/${tool}/bin/tsc`, '-p', `tsconfig.${setting}.json`];
        await command(folder, process.execPath, args);
      }
      return null;
    },
  };
}

/** `lora-wasm/inline` has a CommonJS form, the others are ES modules alone. */
const checks: Row = {
  name: 'types, are-the-types-wrong and publint',
  quick: true,
  add: NOTHING,
  async run(tarball) {
    const folder = await typesProject(tarball, ['@arethetypeswrong/cli', 'publint'], 'types-checks');
    const manifest = JSON.parse(readFileSync(join(folder, 'node_modules/lora-wasm/package.json'), 'utf8'));
    const entries = Object.keys(manifest.exports).filter((entry) => !/\*|package\.json|worker/.test(entry));
    const inline = entries.filter((entry) => entry.startsWith('./inline'));
    const attw = join('node_modules', '@arethetypeswrong', 'cli', 'dist', 'index.js');
    const check = (profile: string, names: readonly string[]) =>
      command(folder, process.execPath, [attw, tarball, '--profile', profile, '--entrypoints', ...names]);
    await check('esm-only', entries);
    await check('node16', inline);
    await command(folder, process.execPath, [
      'node_modules/publint/src/cli.js',
      'node_modules/lora-wasm',
      '--strict',
    ]);
    return null;
  },
};

export const typesRows: readonly Row[] = [...VERSIONS.map(compiles), checks];

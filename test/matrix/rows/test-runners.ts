/** Jest as it comes, which knows only CommonJS, and Vitest in both of its usual environments. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { fixtureFiles, importFrom, quickstartFunction } from '../fixture.js';
import { command, makeProject } from '../project.js';
import { NOTHING, type Row, readReport } from '../row.js';

const testOf = (load: string, use: string): string => `${load}
test('the package computes', async () => {
  writeFileSync('report.json', JSON.stringify({ report: await check(${use}) }));
}, 120_000);
`;

const JEST_TEST = testOf(
  `const { writeFileSync } = require('node:fs');
const { check } = require('./check.js');
const { quickstart } = require('./quickstart.js');
`,
  'quickstart',
);

const VITEST_TEST = testOf(
  `import { writeFileSync } from 'node:fs';
import { test } from 'vitest';
import { check } from './check.js';
`,
  "() => import('./quickstart.js')",
);

function writtenReport(folder: string): ReturnType<typeof readReport> {
  return readReport(JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')));
}

const jest: Row = {
  name: 'Jest 30',
  quick: false,
  add: '`lora-wasm/inline`',
  threads: '`lora-wasm/inline/simd-threads`',
  async run(tarball) {
    const from = 'lora-wasm/inline';
    const made = fixtureFiles({ from, fromForTwo: 'lora-wasm/inline/simd-threads' });
    made.set('quickstart.js', importFrom(quickstartFunction(), from));
    const files = new Map<string, string>();
    const compilerOptions = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 };
    for (const [name, code] of made) {
      if (!/^(page|print)\.js$|\.html$/.test(name))
        files.set(name, ts.transpileModule(code, { compilerOptions }).outputText);
    }
    files.set('check.test.js', JEST_TEST);
    const folder = await makeProject('jest', tarball, { tools: ['jest'], files, type: 'commonjs' });
    await command(folder, process.execPath, ['node_modules/jest/bin/jest.js', '--no-cache']);
    return writtenReport(folder);
  },
};

function vitest(environment: string): Row {
  return {
    name: `Vitest 4, ${environment}`,
    quick: false,
    add: NOTHING,
    threads: NOTHING,
    async run(tarball) {
      const files = fixtureFiles();
      files.set('check.test.js', VITEST_TEST);
      const folder = await makeProject('vitest', tarball, { tools: ['vitest', 'jsdom'], files });
      const args = ['run', '--environment', environment];
      await command(folder, process.execPath, ['node_modules/vitest/vitest.mjs', ...args]);
      return writtenReport(folder);
    },
  };
}

export const testRunnerRows: readonly Row[] = [jest, vitest('node'), vitest('jsdom')];

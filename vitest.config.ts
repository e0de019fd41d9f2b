/**
 * One `vitest run` over projects: the suites in Node over the sources, the golden values, and the suites that need no
 * Node over the built package in a real Chromium. Where no Chromium is found the last is one skipped test. `FIREFOX_PATH`
 * and `WEBKIT_PATH` add projects that run the same in those browsers.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import type { BrowserProviderOption } from 'vitest/node';
import { builtPackage } from './test/browser/built-package.js';
import { findChromium } from './test/browser/chromium.js';
import { languageModel } from './test/browser/language-model.js';
import { quickstart } from './test/browser/quickstart.js';
import { type StockName, stock } from './test/browser/stock.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const alias = [
  { find: /^lora-wasm$/, replacement: here('./src/index.ts') },
  { find: /^lora-wasm\/formats$/, replacement: here('./src/formats/index.ts') },
  { find: /^lora-wasm\/models$/, replacement: here('./src/models/index.ts') },
  { find: /^lora-wasm\/train$/, replacement: here('./src/train/index.ts') },
  { find: /^lora-wasm\/node$/, replacement: here('./src/node.ts') },
];

const LAUNCH_FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking'];

/**
 * Suites that run in a page as they run in Node, a Chromium for each line: a process has room for some hundred memories, and
 * what a page has dropped is given back late.
 */
const PORTABLE = {
  browser: ['assembly', 'browser', 'formats'],
  'browser-layers': ['engine', 'tensor', 'ops', 'nn', 'optim'],
  'browser-lora': ['lora'],
  'browser-models': ['models', 'train'],
};
const ALL_PORTABLE = Object.values(PORTABLE).flat();

/**
 * Suites in Node that get a process of their own for each file: they put other modules or globals in the places of real ones, or
 * start and lose workers. All others share one module graph a process, which took as long to load as they take.
 */
const ALONE = ['engine', 'examples'].map((room) => `test/${room}/**/*.test.ts`);

/** Makes what is older than its sources, for the files that a project runs. */
const globalSetup = 'test/build-if-stale.ts';

/** No test is held to a time: only one that hangs ends so, on a machine however busy. */
const testTimeout = 120_000;

/** Portable suites over the built package, in pages that `provider` opens. */
function inPages(
  name: string,
  browser: 'chromium' | StockName,
  provider: BrowserProviderOption,
  rooms: readonly string[] = ALL_PORTABLE,
): TestProjectInlineConfiguration {
  return {
    plugins: [quickstart(), languageModel(), builtPackage()],
    // Not every browser has `using`.
    oxc: { target: 'es2022' },
    // Threads need a page that is cross-origin isolated.
    server: {
      headers: {
        'Cross-Origin-Opener-Policy': 'same-origin',
        'Cross-Origin-Embedder-Policy': 'require-corp',
      },
    },
    // Found at the start: a dependency that Vite meets in the middle reloads the page and breaks the run.
    optimizeDeps: {
      include: ['fast-check', 'wasm-feature-detect'],
    },
    test: {
      name,
      globalSetup,
      testTimeout,
      // One page at a time: two would hold twice the memories.
      fileParallelism: false,
      include: [
        ...(rooms.includes('browser') ? ['test/readme.test.ts'] : []),
        ...rooms.map((room) => `test/${room}/**/*.test.ts`),
      ],
      exclude: ['test/browser/none.test.ts', 'test/**/*.node.test.ts'],
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        provider,
        instances: [{ browser }],
      },
    },
  };
}

const chromium = findChromium();
const browsers: TestProjectInlineConfiguration[] =
  chromium === null
    ? [{ test: { name: 'browser', include: ['test/browser/none.test.ts'] } }]
    : Object.entries(PORTABLE).map(([name, rooms]) => {
        const launchOptions = { executablePath: chromium, args: LAUNCH_FLAGS };
        return inPages(name, 'chromium', playwright({ launchOptions }), rooms);
      });

/** Asked for by name and not looked for, so that a run takes as long wherever one is installed. */
function stockBrowser(name: StockName, path: string | undefined): TestProjectInlineConfiguration[] {
  return path ? [inPages(name, name, stock(name, path))] : [];
}

export default defineConfig({
  test: {
    browser: { connectTimeout: testTimeout },
    // One less than the processors by default, which on two would be one file after the other.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      {
        plugins: [quickstart()],
        resolve: { alias },
        test: {
          name: 'node',
          globalSetup,
          testTimeout,
          isolate: false,
          // What a file leaves in the place of a global, or of a function, is no other file's.
          unstubGlobals: true,
          restoreMocks: true,
          include: ['test/**/*.test.ts'],
          exclude: ['test/golden.test.ts', 'test/browser/**', 'test/bench/**', ...ALONE],
        },
      },
      {
        resolve: { alias },
        test: { name: 'node-alone', globalSetup, testTimeout, include: ALONE },
      },
      {
        resolve: { alias },
        test: { name: 'golden', globalSetup, testTimeout, include: ['test/golden.test.ts'] },
      },
      ...browsers,
      ...stockBrowser('firefox', process.env.FIREFOX_PATH),
      ...stockBrowser('webkit', process.env.WEBKIT_PATH),
    ],
  },
});

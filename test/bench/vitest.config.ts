/** `npm run test:bench`: the benchmark's own tests, which take longer than they matter to who changes the package. */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: here('../..'),
  resolve: {
    alias: [
      { find: /^lora-wasm$/, replacement: here('../../src/index.ts') },
      { find: /^lora-wasm\/models$/, replacement: here('../../src/models/index.ts') },
    ],
  },
  test: {
    name: 'bench',
    globalSetup: ['test/build-if-stale.ts'],
    include: ['test/bench/**/*.test.ts'],
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});

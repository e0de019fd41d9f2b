/**
 * Global set-up of the tests of what is built, and of the commands beside them: makes the kernels and `dist/` where their sources
 * have changed, so that nothing runs against yesterday's build. Tests over the sources do with `kernels-if-stale.ts`.
 */

import kernelsIfStale, { KERNELS } from './kernels-if-stale.js';
import { buildIfStale } from './stale.js';

const SOURCES = ['src', 'scripts/build', 'tsconfig.build.json', 'tsconfig.json', ...KERNELS];

export default async function setup(): Promise<void> {
  await kernelsIfStale();
  buildIfStale({
    name: 'dist',
    script: 'build:ts',
    // The last file that the build writes.
    made: ['dist/inline/relaxed-simd-threads.cjs'],
    sources: SOURCES,
  });
}

/**
 * Runs a kernel suite over every build: with asserts on fewer cases (`some`, `runs`), optimised, and with two threads that share
 * every product. A build that the engine cannot run is one skipped suite. Bytes come through `src/platform`: the suites run in a
 * page too.
 */
import { afterEach, describe } from 'vitest';
import { readBytes } from '../../src/platform/index.js';
import { canThread } from '../support/runtimes.js';
import { Harness } from './harness.js';

const BUILDS = [
  ['debug', new URL('../../build/debug.wasm', import.meta.url)],
  ['simd', new URL('../../build/simd.wasm', import.meta.url)],
  ['relaxed-simd', new URL('../../build/relaxed-simd.wasm', import.meta.url)],
  ['simd-threads', new URL('../../build/simd-threads.wasm', import.meta.url)],
  ['relaxed-simd-threads', new URL('../../build/relaxed-simd-threads.wasm', import.meta.url)],
] as const;

const loaded = await Promise.all(
  BUILDS.map(async ([name, url]) => {
    const bytes = await readBytes(url);
    const runs = WebAssembly.validate(bytes) && (!name.endsWith('threads') || canThread);
    return { name, harness: runs ? await Harness.make(new WebAssembly.Module(bytes), name) : null };
  }),
);

/** Describes one suite a build, or a suite of one build. */
export function describeBuilds(suite: (harness: Harness) => void, only?: 'debug'): void {
  for (const { name, harness } of loaded) {
    if (only !== undefined && name !== only) continue;
    if (harness === null) {
      describe.skip(`${name} (this engine cannot run it)`, () => suite({} as Harness));
      continue;
    }
    describe(name, () => {
      afterEach(() => harness.checkGuards());
      suite(harness);
    });
  }
}

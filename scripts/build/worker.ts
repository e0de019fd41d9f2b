/** The worker as one file without imports, and the same text inside the package, for places where the file is not found. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';
import { DIST, ROOT, TARGET } from './paths.js';

export const WORKER = `${DIST}worker.js`;

export async function buildWorker(): Promise<void> {
  // What `tsc` made of it, which imports.
  rmSync(`${DIST}engine/pool/worker.js`);
  writeWorker(await workerText());
}

/** The worker's one file. Tests over the sources have it made alone. */
export async function workerText(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [`${ROOT}src/engine/pool/worker.ts`],
    bundle: true,
    platform: 'neutral',
    format: 'iife',
    minify: true,
    target: TARGET,
    write: false,
  });
  return `${outputFiles[0]!.text.trimEnd()}\n`;
}

export function writeWorker(text: string): void {
  mkdirSync(`${DIST}engine/pool`, { recursive: true });
  writeFileSync(WORKER, text);
  const header = '/** The text of worker.js, for places where the file is not found. */';
  writeFileSync(
    `${DIST}engine/pool/worker-text.js`,
    `${header}\nexport const WORKER_TEXT = ${JSON.stringify(text.trimEnd())};\n`,
  );
}

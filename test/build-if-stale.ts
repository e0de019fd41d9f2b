/**
 * Global set-up of the tests: builds the kernels and dist/ when one of their sources is newer, so that no test runs against
 * yesterday's build. After `npm install` there is nothing to do.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Times of last change of a file, or of every file under a folder; none when it does not exist. */
function times(path: string): number[] {
  const stat = statSync(join(ROOT, path), { throwIfNoEntry: false });
  if (stat === undefined) return [];
  if (!stat.isDirectory()) return [stat.mtimeMs];
  return readdirSync(join(ROOT, path)).flatMap((name) => times(join(path, name)));
}

function isStale(made: string[], sources: string[]): boolean {
  const oldest = Math.min(...made.map((path) => times(path)[0] ?? 0));
  return sources.flatMap(times).some((time) => time > oldest);
}

export default function setup(): void {
  const builds = ['simd', 'relaxed-simd', 'simd-threads', 'relaxed-simd-threads', 'debug'].map(
    (name) => `build/${name}.wasm`,
  );
  if (isStale(builds, ['assembly', 'asconfig.json'])) build('build:wasm');
  // The last file that the build writes.
  const sources = ['src', 'scripts/build', 'tsconfig.build.json', 'tsconfig.json', ...builds];
  if (isStale(['dist/inline/relaxed-simd-threads.cjs'], sources)) build('build:ts');
}

function build(script: string): void {
  execFileSync('npm', ['run', '--silent', script], { cwd: ROOT, stdio: 'inherit' });
}

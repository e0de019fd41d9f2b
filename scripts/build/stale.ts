/**
 * Whether a build is older than its sources, by their content where it is known what it was made of, and by times of change
 * elsewhere: a branch that was left and come back to, or a file saved as it was, costs no build. Called by `fresh.ts`.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What a build was made of, kept in build/. */
interface Made {
  /** Of the names and contents of its sources. */
  readonly sources: string;
  /** Time of change of what was made then: another build since has another. */
  readonly time: number;
}

/** A build: what a script of package.json makes of which files. */
export interface Build {
  /** For its record. */
  readonly name: string;
  readonly script: string;
  /** Files that the script writes, from the root. */
  readonly made: readonly string[];
  /** Files and folders that it reads. */
  readonly sources: readonly string[];
}

/**
 * Builds unless what is there was made of these sources.
 * @param root - folder of everything
 * @param run - runs the script
 */
export function buildIfStale(build: Build, root = ROOT, run: () => void = () => npmRun(build.script)): void {
  const files = build.sources.flatMap((path) => filesOf(root, path));
  const time = timeOf(root, build.made);
  const sources = hashOf(root, files);
  const record = join(root, `build/${build.name}.made.json`);
  const kept = recorded(record);
  const isStale =
    kept?.time === time ? kept.sources !== sources : files.some((file) => changedAt(root, file) > time);
  if (isStale) {
    if (time > 0) console.log(`the sources of ${build.made[0]} have changed: npm run ${build.script}`);
    run();
  }
  const now: Made = { sources, time: timeOf(root, build.made) };
  if (kept?.sources === now.sources && kept.time === now.time) return;
  mkdirSync(join(root, 'build'), { recursive: true });
  writeFileSync(record, `${JSON.stringify(now)}\n`);
}

/** When the oldest of these files was changed; 0 where one is missing. */
function timeOf(root: string, files: readonly string[]): number {
  return Math.min(...files.map((file) => changedAt(root, file)));
}

function changedAt(root: string, file: string): number {
  return statSync(join(root, file), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** A file, or every file under a folder; none when it does not exist. */
function filesOf(root: string, path: string): string[] {
  const stat = statSync(join(root, path), { throwIfNoEntry: false });
  if (stat === undefined) return [];
  if (!stat.isDirectory()) return [path];
  const names = readdirSync(join(root, path)).sort();
  return names.flatMap((name) => filesOf(root, join(path, name)));
}

function hashOf(root: string, files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

function recorded(path: string): Made | null {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Made) : null;
}

function npmRun(script: string): void {
  execFileSync('npm', ['run', '--silent', script], { cwd: ROOT, stdio: 'inherit' });
}

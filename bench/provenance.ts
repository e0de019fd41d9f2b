/** Where results come from: the commit, the command, the processor. */
import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { basename, isAbsolute } from 'node:path';
import type { Ceilings } from './records.js';

/** The commit, with `+changes` where sources differ from it. */
export function commitOf(): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    const changed = git('status', '--porcelain', '--', 'src', 'assembly', 'bench/*.ts', 'bench/peers/*');
    return git('rev-parse', 'HEAD') + (changed === '' ? '' : '+changes');
  } catch {
    return 'none';
  }
}

/** This command as it would be typed, absolute paths by their last name: the npm script where npm runs it, else `file`. */
export function commandLine(script: string, file: string): string {
  const short = (arg: string): string => (isAbsolute(arg) ? basename(arg) : arg);
  const args = process.argv
    .slice(2)
    .map(short)
    .map((arg) => (/^[@\w.=/-]+$/.test(arg) ? arg : `'${arg}'`));
  const start =
    process.env.npm_lifecycle_event === script
      ? [`npm run ${script}`, ...(args.length > 0 ? ['--'] : [])]
      : [`node --import tsx ${file}`];
  return [...start, ...args].join(' ');
}

export function cpuName(): string {
  return cpus()[0]?.model ?? 'unknown';
}

export function today(): string {
  return new Date().toISOString().slice(0, 10);
}

/** The larger of two measurements around the run: a ceiling that noise pushed down is none. */
export function higher(a: Ceilings, b: Ceilings): Ceilings {
  const top = (x: number | null, y: number | null): number | null =>
    x === null || y === null ? (x ?? y) : Math.max(x, y);
  return {
    fused: top(a.fused, b.fused),
    plain: Math.max(a.plain, b.plain),
    readGBs: top(a.readGBs, b.readGBs),
  };
}

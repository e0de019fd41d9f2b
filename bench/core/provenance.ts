/** Where results come from: the commit, the command, the processor; what every report begins with. */
import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { basename, isAbsolute } from 'node:path';

/** The commit, with `+changes` where sources differ from it. */
function commitOf(): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    const changed = git(
      'status',
      '--porcelain',
      '--',
      'src',
      'assembly',
      'bench',
      ':!bench/results',
      ':!bench/variants/*.json',
    );
    return git('rev-parse', 'HEAD') + (changed === '' ? '' : '+changes');
  } catch {
    return 'none';
  }
}

/**
 * This command as it would be typed, absolute paths by their last name: the npm script where npm runs it, else `file`.
 * @param given - how many arguments the npm script itself gives
 */
export function commandLine(script: string, file: string, given = 0): string {
  const byNpm = process.env.npm_lifecycle_event === script;
  const short = (arg: string): string => (isAbsolute(arg) ? basename(arg) : arg);
  const args = process.argv
    .slice(byNpm ? 2 + given : 2)
    .map(short)
    .map((arg) => (/^[@\w.=/-]+$/.test(arg) ? arg : `'${arg}'`));
  const start = byNpm
    ? [`npm run ${script}`, ...(args.length > 0 ? ['--'] : [])]
    : [`node --import tsx ${file}`];
  return [...start, ...args].join(' ');
}

/** This Node, as a report names its engine. */
export function nodeName(): string {
  return `Node ${process.versions.node} (V8 ${process.versions.v8})`;
}

function cpuName(): string {
  return cpus()[0]?.model ?? 'unknown';
}

/** What a report says of itself. */
export interface Provenance {
  readonly commit: string;
  readonly cpu: string;
  readonly engine: string;
  readonly command: string;
  readonly date: string;
}

/** @param command - as `commandLine` gives it @param engine - default: this Node */
export function provenance(command: string, engine = nodeName()): Provenance {
  const date = new Date().toISOString().slice(0, 10);
  return { commit: commitOf(), cpu: cpuName(), engine, command, date };
}

/**
 * `npm run bench:compare -- BEFORE`: this checkout against another one of the project, each measured in fresh processes by
 * turns, the order turned every round. Prints how many times as fast this one is, with the range over the rounds. A loss is
 * a median below 0.97 where the times of both do not overlap; it ends the command with exit code 1.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import { freshPackage } from '../../scripts/build/fresh.js';
import { printTable, showProgress } from '../core/print.js';
import { figure, ratioText } from '../core/table.js';
import { compareTimes, type Line, type Times, verdictOf } from './verdict.js';

const here = fileURLToPath(new URL('../..', import.meta.url));
const script = fileURLToPath(new URL('measure.ts', import.meta.url));

interface Options {
  readonly rounds: number;
  readonly node: string[];
  readonly kernels: string;
}

interface Measured {
  readonly node: string;
  readonly kernels: string;
  readonly times: Times;
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 3)
    throw new InvalidArgumentError('Expected a count from 3 up: fewer have no range.');
  return value;
}

const command = new Command('npm run bench:compare --')
  .description('This checkout against another one, both built, in fresh processes by turns')
  .argument('<before>', 'folder of the other checkout')
  .option('--rounds <n>', 'processes of each', count, 10)
  .option('--node <path...>', 'the Nodes to measure in; behind the folder', [process.execPath])
  .addOption(
    new Option('--kernels <build>', 'kernel build').choices(['auto', 'simd', 'relaxed-simd']).default('auto'),
  )
  .parse();
const before = resolve(command.args[0]!);
const { rounds, node: nodes, kernels } = command.opts<Options>();

/** When a file, or the newest of a folder's, changed; 0 where there is none. */
function changed(path: string): number {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isDirectory()) return stat?.mtimeMs ?? 0;
  return Math.max(0, ...readdirSync(path).map((name) => changed(join(path, name))));
}

/** Ends the command where the other checkout is not built, or was changed since: its times would be those of something else. */
function expectBuilt(root: string): void {
  for (const [sources, made] of [
    ['src', 'dist/index.js'],
    ['assembly', 'build/simd.wasm'],
  ] as const) {
    const at = changed(join(root, made));
    if (at === 0)
      command.error(`bench:compare: ${root} has no ${made}, expected a checkout after npm install`);
    if (changed(join(root, sources)) > at)
      command.error(
        `bench:compare: ${join(root, made)} is older than ${sources}, expected npm run build after a change`,
      );
  }
}

function measure(node: string, root: string): Measured {
  // The script's own types and loader come from here, whichever checkout it measures.
  const args = ['--import', 'tsx', script, root, kernels];
  const { status, stdout, stderr, error } = spawnSync(node, args, { cwd: here, encoding: 'utf8' });
  if (status !== 0)
    command.error(
      `bench:compare: ${node} over ${root} ended with ${error?.message ?? status}: ${(stderr ?? '').trim()}`,
    );
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Measured;
}

/** Rounds in this Node, printed. */
function compare(node: string): Line[] {
  const old: Measured[] = [];
  const own: Measured[] = [];
  for (let round = 0; round < rounds; round++) {
    showProgress(`round ${round + 1} of ${rounds}`);
    const turns: [Measured[], string][] = [
      [old, before],
      [own, here],
    ];
    for (const [list, root] of round % 2 === 0 ? turns : turns.reverse()) list.push(measure(node, root));
  }
  showProgress('');
  const { lines, missing } = compareTimes(
    old.map(({ times }) => times),
    own.map(({ times }) => times),
  );
  const builds = [...new Set([...old, ...own].map((measured) => measured.kernels))];
  if (builds.length > 1)
    command.error(
      `bench:compare: ${builds.join(' and ')} kernels ran, expected one build: --kernels names it`,
    );
  console.log(`Node ${own[0]!.node}, ${builds[0]} kernels, ${rounds} processes each`);
  printTable(
    ['times as fast as before', 'median (range)', 'ms, before', 'ms, now', ''],
    lines.map(({ name, was, is, ratio, lost }) => [
      ...[name, ratioText(ratio, 3), figure(was.median), figure(is.median), lost ? 'loss' : ''],
    ]),
  );
  for (const name of missing) console.log(`not compared: ${name} was not measured in every process`);
  return lines;
}

expectBuilt(before);
freshPackage();
const lines = nodes.flatMap(compare);
console.log(verdictOf(lines));
process.exitCode = lines.some(({ lost }) => lost) ? 1 : 0;

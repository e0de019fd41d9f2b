/**
 * `npm run bench:compare -- BEFORE`: this checkout against another one of the project, each measured in fresh processes by
 * turns, the order turned every round. Prints how many times as fast this one is, with the range over the rounds. A loss is
 * a median below 0.97 where the times of both do not overlap; it ends the command with exit code 1.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { Command, InvalidArgumentError } from 'commander';
import { summarise } from '../core/measure.js';

const LOSS = 0.97;
const here = fileURLToPath(new URL('../..', import.meta.url));

interface Options {
  readonly rounds: number;
  readonly node: string[];
  readonly kernels: string;
}

interface Measured {
  readonly kernels: string;
  readonly times: Record<string, number>;
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('Expected a count from 1 up.');
  return value;
}

const command = new Command('npm run bench:compare --')
  .description('This checkout against another one, both built, in fresh processes by turns')
  .argument('<before>', 'folder of the other checkout')
  .option('--rounds <n>', 'processes of each', count, 10)
  .option('--node <path...>', 'the Nodes to measure in', [process.execPath])
  .option('--kernels <build>', 'kernel build', 'auto')
  .parse();
const before = resolve(command.args[0]!);
const { rounds, node: nodes, kernels } = command.opts<Options>();
for (const root of [before, here])
  if (!existsSync(join(root, 'dist/index.js')))
    command.error(`bench:compare: ${root} has no dist/index.js, expected a checkout after npm install`);

function measure(node: string, root: string): Measured {
  const script = fileURLToPath(new URL('measure.ts', import.meta.url));
  // The script's own types and loader come from here, whichever checkout it measures.
  const args = ['--import', 'tsx', script, root, kernels];
  return JSON.parse(execFileSync(node, args, { cwd: here, encoding: 'utf8' })) as Measured;
}

/** Rounds in this Node; how many rows are losses. */
function compare(node: string): number {
  const old: Measured[] = [];
  const own: Measured[] = [];
  for (let round = 0; round < rounds; round++) {
    const turns: [Measured[], string][] = [
      [old, before],
      [own, here],
    ];
    for (const [list, root] of round % 2 === 0 ? turns : turns.reverse()) list.push(measure(node, root));
    process.stderr.write(`\r${round + 1} of ${rounds} rounds`);
  }
  process.stderr.write('\n');
  const table = new Table({
    head: ['times as fast as before', 'median (range)', 'ms, before', 'ms, now', ''],
  });
  let losses = 0;
  for (const name of Object.keys(own[0]!.times)) {
    const [was, is] = [old, own].map((list) => summarise(list.map(({ times }) => times[name]!)));
    const ratio = summarise(was!.rounds.map((ms, i) => ms / is!.rounds[i]!));
    const lost = ratio.median < LOSS && was!.max < is!.min;
    if (lost) losses++;
    const range = `${ratio.median.toFixed(3)} (${ratio.min.toFixed(2)}-${ratio.max.toFixed(2)})`;
    table.push([name, range, was!.median.toPrecision(3), is!.median.toPrecision(3), lost ? 'loss' : '']);
  }
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
  console.log(`Node ${version}, ${own[0]!.kernels} kernels, ${rounds} processes each\n${table}`);
  return losses;
}

const losses = nodes.reduce((sum, node) => sum + compare(node), 0);
console.log(losses === 0 ? 'no loss' : `${losses} losses`);
process.exitCode = losses === 0 ? 0 : 1;

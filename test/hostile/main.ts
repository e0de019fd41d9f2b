/**
 * `npm run test:hostile [-- --minutes 10 --seed N --only NAME]`: damaged files, wrong calls, injected errors, killed workers,
 * random shapes, and what files of others cost, for a given time; then one table. Exit code 1 where something did not hold.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { Random } from '../../reference/random.js';
import { calls } from './calls.js';
import { costs } from './costs.js';
import { files } from './files.js';
import { memory } from './memory.js';
import { numbers } from './numbers.js';
import { type Row, type Section, said } from './section.js';
import { workers } from './workers.js';

const SECTIONS: readonly Section[] = [costs, files, calls, memory, numbers, workers];

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seed: { type: 'string' },
    only: { type: 'string' },
    markdown: { type: 'boolean' },
  },
});
const minutes = Number(values.minutes ?? 10);
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
if (!(minutes > 0) || !Number.isInteger(seed)) {
  console.error(`test:hostile: minutes ${values.minutes} and seed ${values.seed}, expected numbers`);
  process.exit(2);
}

/** What dies uncatchably is a fault of whatever runs. */
const uncaught: string[] = [];
process.on('unhandledRejection', (error) => uncaught.push(`unhandled rejection: ${said(error)}`));
process.on('uncaughtException', (error) => uncaught.push(`uncaught: ${said(error)}`));

async function runSection(section: Section, time: number): Promise<Row[]> {
  const end = performance.now() + time;
  const work = { more: () => performance.now() < end, time, random: new Random(seed) };
  try {
    return await section.run(work);
  } catch (error) {
    const fault = error instanceof Error ? (error.stack ?? said(error)) : said(error);
    return [{ what: section.name, tried: 'ended early', faults: [fault], worst: '' }];
  }
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

console.log(
  `test:hostile: ${minutes} minutes, seed ${seed}, Node ${process.version}, ${cpus().length} cores`,
);
const rows: Row[] = [];
const chosen = SECTIONS.filter(({ name }) => name.includes(values.only ?? ''));
const whole = chosen.reduce((total, { share }) => total + share, 0);
for (const section of chosen)
  rows.push(...(await runSection(section, (minutes * 60_000 * section.share) / whole)));
if (uncaught.length > 0)
  rows.push({ what: 'the process', tried: 'the whole run', faults: uncaught, worst: '' });

if (values.markdown) {
  console.log('| what | tried | faults | worst |\n| --- | --- | --- | --- |');
  for (const { what, tried, faults, worst } of rows)
    console.log(`| ${[what, tried, String(faults.length), worst].map(cell).join(' | ')} |`);
} else {
  const table = new Table({
    head: ['what', 'tried', 'faults', 'worst'],
    wordWrap: true,
    colWidths: [34, 42, 8, 42],
  });
  for (const { what, tried, faults, worst } of rows) table.push([what, tried, faults.length, worst]);
  console.log(table.toString());
}
for (const { what, faults } of rows)
  for (const fault of faults.slice(0, 20)) console.log(`${what}: ${fault}`);
const total = rows.reduce((count, { faults }) => count + faults.length, 0);
console.log(`${total} faults, seed ${seed}`);
process.exit(total > 0 ? 1 : 0);

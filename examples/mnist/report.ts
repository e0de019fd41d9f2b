/** What the demo prints: headings, tables, a progress bar. */
import { Presets, SingleBar } from 'cli-progress';
import Table from 'cli-table3';
import type { Module } from 'lora-wasm';

/** Tables without lines between rows. */
const COMPACT = {
  chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  style: { head: [], border: [] },
};

const thousands = (n: number): string => n.toLocaleString('en-US');

export function heading(n: number, text: string): void {
  console.log(`\n${n}. ${text}`);
}

/** Wrong counts of the ten digits, a row for each state. */
export function wrongTable(
  rows: Readonly<Record<string, { wrong: readonly number[]; accuracy: number }>>,
): void {
  const table = new Table({ head: ['wrong of', ...'0123456789', 'accuracy'], ...COMPACT });
  for (const [name, { wrong, accuracy }] of Object.entries(rows))
    table.push([name, ...wrong.map(String), `${(100 * accuracy).toFixed(2)} %`]);
  console.log(table.toString());
}

/** Parameters by layer; gives their total. */
export function parameterTable(model: Module): number {
  const table = new Table({ head: ['parameter', 'shape', 'elements', 'trains'], ...COMPACT });
  let total = 0;
  for (const [name, parameter] of model.namedParameters()) {
    total += parameter.size;
    table.push([
      name,
      `[${parameter.shape.join(', ')}]`,
      { content: thousands(parameter.size), hAlign: 'right' },
      parameter.requiresGrad ? 'yes' : 'no',
    ]);
  }
  table.push(['total', '', { content: thousands(total), hAlign: 'right' }, '']);
  console.log(table.toString());
  return total;
}

/** Runs `step` `total` times behind a bar with iterations a second and the running loss; without a terminal, a few lines. */
export function withProgress(total: number, step: (i: number) => number): number {
  const bar = process.stdout.isTTY
    ? new SingleBar(
        {
          format: '   {bar} {value}/{total} | {speed} it/s | loss {loss} | {eta_formatted} left',
          hideCursor: true,
        },
        Presets.shades_classic,
      )
    : null;
  bar?.start(total, 0, { speed: '-', loss: '-' });
  const start = performance.now();
  let sum = 0;
  for (let i = 0; i < total; i++) {
    sum += step(i);
    const speed = ((i + 1) / ((performance.now() - start) / 1000)).toFixed(0);
    const loss = (sum / (i + 1)).toFixed(4);
    if (bar !== null) {
      if (i % 10 === 9 || i === total - 1) bar.update(i + 1, { speed, loss });
    } else if ((i + 1) % Math.ceil(total / 4) === 0 || i === total - 1)
      console.log(`   ${i + 1}/${total} | ${speed} it/s | loss ${loss}`);
  }
  bar?.stop();
  return sum / total;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

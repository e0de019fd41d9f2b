/** This command in several processes, one after the other: each prints what it measured, and leaves it as JSON. `main.ts` joins it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Report } from './core/records.js';

/** @throws Error when one fails */
export function reportsOf(count: number): Report[] {
  const folder = mkdtempSync(join(tmpdir(), 'lora-wasm-bench-'));
  try {
    return Array.from({ length: count }, (_, i) => {
      const file = join(folder, `${i}.json`);
      // Of an option that is given twice the last one counts.
      const args = [...process.execArgv, ...process.argv.slice(1), '--processes', '1', '--json', file];
      execFileSync(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
      return JSON.parse(readFileSync(file, 'utf8')) as Report;
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * `examples/worker/`, built by Vite and used by clicks, on a host that sends no headers, so that its service worker isolates it:
 * it trains, the page goes on meanwhile, it stops when told and gives PEFT's files.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright';
import { withPage } from '../pages.js';
import { command, makeProject } from '../project.js';
import type { Row } from '../row.js';
import { host } from '../serve.js';

const EXAMPLE = new URL('../../../examples/worker/', import.meta.url);

function exampleFiles(): Map<string, string> {
  const files = new Map<string, string>();
  for (const entry of readdirSync(EXAMPLE, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name === 'package.json') continue;
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(fileURLToPath(EXAMPLE).length);
    if (!/^(node_modules|dist)\//.test(name)) files.set(name, readFileSync(path, 'utf8'));
  }
  return files;
}

/** The first number in the text of an element, once there is one above `least`. */
async function numberIn(page: Page, id: string, least: number): Promise<number> {
  const handle = await page.waitForFunction(
    ([name, above]) => {
      const found = /\d+/.exec(document.getElementById(`${name}`)?.textContent ?? '');
      return found !== null && Number(found[0]) > Number(above) ? Number(found[0]) : false;
    },
    [id, least] as const,
  );
  return Number(await handle.jsonValue());
}

/** @throws Error where the page does not do what it says */
async function use(page: Page): Promise<void> {
  await page.waitForFunction(() => crossOriginIsolated);
  await page.click('#train');
  await numberIn(page, 'progress', 3);
  const cores = await page.evaluate(() => navigator.hardwareConcurrency);
  const threads = await numberIn(page, 'threads', 0);
  if (threads !== Math.min(cores, 8)) throw new Error(`${threads} threads, expected ${cores}`);
  const frames = await numberIn(page, 'frames', 0);
  await numberIn(page, 'frames', frames + 3);
  await page.click('#stop');
  await page.waitForSelector('#files a[download="adapter_model.safetensors"]');
  const progress = await page.textContent('#progress');
  const [, step, steps] = /step (\d+) of (\d+)/.exec(progress ?? '') ?? [];
  if (!(Number(step) < Number(steps))) throw new Error(`it did not stop: ${progress}`);
  const config = await page.evaluate(async () => {
    const link = document.querySelector<HTMLAnchorElement>('a[download="adapter_config.json"]');
    return (await fetch(link?.href ?? '')).text();
  });
  if (JSON.parse(config).peft_type !== 'LORA') throw new Error(`the adapter's config is ${config}`);
}

export const example: Row = {
  name: 'Vite 8, worker, host without headers',
  quick: true,
  add: '`isolate.js`',
  async run(tarball) {
    const folder = await makeProject('example', tarball, { tools: ['vite8'], files: exampleFiles() });
    await command(folder, process.execPath, ['node_modules/vite8/bin/vite.js', 'build']);
    const server = await host(join(folder, 'dist'), { headers: {} });
    try {
      await withPage(server.url, use);
    } finally {
      await server.stop();
    }
    return null;
  },
};

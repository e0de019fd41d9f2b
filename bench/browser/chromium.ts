/** Pages of a real Chromium, each answering the calls that its entry, or the worker that this starts, left on `globalThis`. */
import { chromium, type Page, type Worker } from 'playwright';
import type { Remote } from '../core/child.js';
import { compiled } from '../core/compile.js';
import { type Links, servePage } from './serve.js';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking'];
const START_MS = 30_000;

export interface Chromium {
  /** With its version, as a report states them. */
  readonly name: string;
  /** A page of its own, whose entry leaves functions in `globalThis.benchPage`; it tells its progress by `console.info`. */
  open(progress?: (text: string) => void): Promise<Remote>;
  close(): Promise<void>;
}

/** The page, or a worker of it. */
type Place = Pick<Worker, 'evaluate'>;

/**
 * Bundles, serves and launches.
 * @param inWorker - whether the entry starts a worker, which is then asked
 * @throws Error when Chromium does not start
 */
export async function startChromium(
  executablePath: string,
  entry: URL,
  { inWorker = false, links = {} }: { readonly inWorker?: boolean; readonly links?: Links } = {},
): Promise<Chromium> {
  await Promise.all((['naive', 'ceiling', 'ceiling-relaxed'] as const).map(compiled));
  const server = await servePage(entry, links);
  const browser = await chromium.launch({ executablePath, args: FLAGS });
  return {
    name: `Chromium ${browser.version()}`,
    open: async (progress = () => {}) => {
      const page = await browser.newPage();
      const complaints: string[] = [];
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'info') progress(message.text());
        if (message.type() === 'error') complaints.push(message.text());
      });
      const place = await placeOf(page, server.address, inWorker);
      await expectStarted(place, complaints);
      return { ask: (name, args) => ask(place, name, args), close: () => page.close() };
    },
    close: async () => {
      await browser.close();
      await server.close();
    },
  };
}

async function placeOf(page: Page, address: string, inWorker: boolean): Promise<Place> {
  const [worker] = await Promise.all([inWorker ? page.waitForEvent('worker') : null, page.goto(address)]);
  return worker ?? page;
}

/** @throws Error with what the page complained of */
async function expectStarted(place: Place, complaints: readonly string[]): Promise<void> {
  const end = performance.now() + START_MS;
  while (!(await place.evaluate(() => 'benchPage' in globalThis))) {
    if (performance.now() > end)
      throw new Error(`startChromium: the page did not start: ${complaints.join('; ')}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function ask<Answer>(place: Place, name: string, args: readonly unknown[]): Promise<Answer> {
  return place.evaluate(
    ([called, values]) => {
      const { benchPage } = globalThis as unknown as {
        benchPage: Record<string, (...all: unknown[]) => unknown>;
      };
      return benchPage[called]!(...values);
    },
    [name, args] as [string, unknown[]],
  ) as Promise<Answer>;
}

/** Pages of a real Chromium: the bundle of `bundle.ts`, served by `serve.ts`, each page answering the calls of `page.ts`. */
import { type Browser, chromium, type Page } from 'playwright';
import { compile } from '../compile.js';
import { hostOver, type Remote } from '../peers/node-host.js';
import type { Ceilings } from '../records.js';
import type { Measured } from '../run.js';
import type { RunOptions } from '../suite.js';
import type { SuiteName } from '../suites.js';
import { bundlePage } from './bundle.js';
import type { PageCalls } from './page.js';
import { servePage } from './serve.js';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking'];

/** One page, of peers or of a suite. */
export interface BenchPage extends Remote {
  ceilings(): Promise<Ceilings>;
  run(suite: SuiteName, options: RunOptions, progress: (text: string) => void): Promise<Measured>;
}

export interface Chromium {
  readonly version: string;
  /** A page of its own. */
  open(): Promise<BenchPage>;
  close(): Promise<void>;
}

/** Bundles, serves and launches. @throws Error when Chromium does not start */
export async function startChromium(executablePath: string): Promise<Chromium> {
  await Promise.all([
    bundlePage(),
    compile('naive'),
    compile('ceiling', ['simd']),
    compile('ceiling', ['simd', 'relaxed-simd']),
  ]);
  const browser = await chromium.launch({ executablePath, args: FLAGS });
  const server = await servePage();
  return {
    version: browser.version(),
    open: () => openPage(browser, server.address),
    close: async () => {
      await browser.close();
      server.close();
    },
  };
}

async function openPage(browser: Browser, address: string): Promise<BenchPage> {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto(address);
  try {
    await page.waitForFunction(() => 'benchPage' in globalThis, null, { timeout: 30_000 });
  } catch {
    throw new Error(`openPage: the runner did not start: ${complaints.join('; ')}`);
  }
  return {
    host: hostOver((method, args) => ask(page, 'host', [method, args])),
    ceilings: () => ask(page, 'ceilings', []),
    run: async (suite, options, progress) => {
      await page.exposeFunction('showProgress', progress);
      return ask(page, 'run', [suite, options]);
    },
    close: () => page.close(),
  };
}

/** Calls what `page.ts` left on the page's `globalThis`. */
function ask<Name extends keyof PageCalls>(
  page: Page,
  name: Name,
  args: Parameters<PageCalls[Name]>,
): Promise<Awaited<ReturnType<PageCalls[Name]>>> {
  return page.evaluate(
    ([called, values]) => {
      const { benchPage } = globalThis as unknown as {
        benchPage: Record<string, (...all: unknown[]) => unknown>;
      };
      return benchPage[called]!(...values);
    },
    [name, args] as [string, unknown[]],
  ) as Promise<Awaited<ReturnType<PageCalls[Name]>>>;
}

/** Pages of a real Chromium: the bundle of `bundle.ts`, served by `serve.ts`, each answering the calls that its entry left on it. */
import { chromium, type Page } from 'playwright';
import type { Remote } from '../core/child.js';
import { compile } from '../core/compile.js';
import { bundlePage } from './bundle.js';
import { type Served, servePage } from './serve.js';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking'];

export interface Chromium {
  /** With its version, as a report states them. */
  readonly name: string;
  /** A page of its own, whose entry leaves functions in `globalThis.benchPage`; it may call `showProgress`. */
  open(progress?: (text: string) => void): Promise<Remote>;
  close(): Promise<void>;
}

/** Bundles, serves and launches. @throws Error when Chromium does not start */
export async function startChromium(
  executablePath: string,
  entry: URL,
  served: Served = {},
): Promise<Chromium> {
  await Promise.all([
    bundlePage(entry),
    compile('naive'),
    compile('ceiling', ['simd']),
    compile('ceiling', ['simd', 'relaxed-simd']),
  ]);
  const browser = await chromium.launch({ executablePath, args: FLAGS });
  const server = await servePage(served);
  return {
    name: `Chromium ${browser.version()}`,
    open: async (progress = () => {}) => openPage(await browser.newPage(), server.address, progress),
    close: async () => {
      await browser.close();
      server.close();
    },
  };
}

async function openPage(page: Page, address: string, progress: (text: string) => void): Promise<Remote> {
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.exposeFunction('showProgress', progress);
  await page.goto(address);
  try {
    await page.waitForFunction(() => 'benchPage' in globalThis, null, { timeout: 30_000 });
  } catch {
    throw new Error(`openPage: the runner did not start: ${complaints.join('; ')}`);
  }
  return {
    ask: (name, args) =>
      page.evaluate(
        ([called, values]) => {
          const { benchPage } = globalThis as unknown as {
            benchPage: Record<string, (...all: unknown[]) => unknown>;
          };
          return benchPage[called]!(...values);
        },
        [name, args] as [string, unknown[]],
      ) as Promise<never>,
    close: () => page.close(),
  };
}

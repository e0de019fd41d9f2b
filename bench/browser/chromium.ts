/** Pages of a real Chromium: the bundle of `bundle.ts`, served by `serve.ts`, each answering the calls that its entry left on it. */
import { chromium, type Page } from 'playwright';
import { compile } from '../core/compile.js';
import { bundlePage } from './bundle.js';
import { servePage } from './serve.js';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking'];

/** One page. Its entry leaves functions of plain values in `globalThis.benchPage`. */
export interface BenchPage {
  ask<Answer>(name: string, args: readonly unknown[]): Promise<Answer>;
  close(): Promise<void>;
}

export interface Chromium {
  readonly version: string;
  /** A page of its own; it may call `showProgress`. */
  open(progress?: (text: string) => void): Promise<BenchPage>;
  close(): Promise<void>;
}

/** Bundles, serves and launches. @param model - a file that pages fetch as `/model` @throws Error when Chromium does not start */
export async function startChromium(
  executablePath: string,
  entry: URL,
  model: string | null = null,
): Promise<Chromium> {
  await Promise.all([
    bundlePage(entry),
    compile('naive'),
    compile('ceiling', ['simd']),
    compile('ceiling', ['simd', 'relaxed-simd']),
  ]);
  const browser = await chromium.launch({ executablePath, args: FLAGS });
  const server = await servePage(new URL('./node_modules/', entry), model);
  return {
    version: browser.version(),
    open: async (progress = () => {}) => openPage(await browser.newPage(), server.address, progress),
    close: async () => {
      await browser.close();
      server.close();
    },
  };
}

async function openPage(page: Page, address: string, progress: (text: string) => void): Promise<BenchPage> {
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

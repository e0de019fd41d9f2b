/**
 * Vitest's way into a browser as it is installed, a Firefox or a WebKit: started with the address of the tests, in a folder of
 * its own, and ended by a signal. The tests ask nothing of a driver, and Playwright's wants its own builds of both. Called by
 * vitest.config.ts and by the matrix, in Node.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineBrowserProvider } from '@vitest/browser';
import type { BrowserProvider, BrowserProviderOption } from 'vitest/node';

export type StockName = 'firefox' | 'webkit';

interface Start {
  args(home: string): string[];
  readonly env: Readonly<Record<string, string>>;
}

const STARTS: Readonly<Record<StockName, Start>> = {
  firefox: { args: (home) => ['--headless', '--no-remote', '--profile', home], env: {} },
  // MiniBrowser leaves SharedArrayBuffer out of isolated pages too, unless it is asked; Safari has it there.
  webkit: { args: () => [], env: { JSC_useSharedArrayBuffer: '1' } },
};

/** Firefox shows no page but the tests', calls nobody, and ends no script that computes for long. */
const PREFERENCES: Readonly<Record<string, boolean | number>> = {
  'app.normandy.enabled': false,
  'app.update.auto': false,
  'browser.aboutwelcome.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'dom.max_script_run_time': 0,
};

/** Starts the browser that lies at `path` with a page; the function ends it. */
export async function openIn(name: StockName, path: string, url: string): Promise<() => Promise<void>> {
  const home = await makeHome();
  const start = STARTS[name];
  const env = { ...process.env, ...start.env, HOME: home };
  const browser = spawn(path, [...start.args(home), url], { env, stdio: 'ignore' });
  await once(browser, 'spawn');
  return async () => {
    if (browser.kill()) await once(browser, 'exit');
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  };
}

/** The browser that lies at `path`, for Vitest. */
export function stock(name: StockName, path: string): BrowserProviderOption {
  return defineBrowserProvider({
    name: 'stock',
    supportedBrowser: [name],
    providerFactory: () => new StockProvider(name, path),
  });
}

class StockProvider implements BrowserProvider {
  readonly name = 'stock';
  readonly supportsParallelism = false;
  readonly #browser: StockName;
  readonly #path: string;
  #end: (() => Promise<void>) | null = null;

  constructor(browser: StockName, path: string) {
    this.#browser = browser;
    this.#path = path;
  }

  getCommandsContext(): Record<string, unknown> {
    return {};
  }

  async openPage(_session: string, url: string): Promise<void> {
    await this.close();
    this.#end = await openIn(this.#browser, this.#path, url);
  }

  async close(): Promise<void> {
    const end = this.#end;
    this.#end = null;
    await end?.();
  }
}

async function makeHome(): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'lora-wasm-browser-'));
  const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref("${name}", ${value});\n`);
  await writeFile(join(home, 'user.js'), lines.join(''));
  return home;
}

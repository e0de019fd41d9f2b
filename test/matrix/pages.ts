/** Opens a page in a real browser and brings back what `fixture/page.js` left there. Called by rows. */
import { type Browser, chromium, type Page } from 'playwright';
import { findChromium } from '../browser/chromium.js';

/** Enough for a development server to prepare what it serves, on a machine that does other things too. */
const LIMIT = 120_000;

let browser: Promise<Browser> | undefined;

function launch(): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === null)
    throw new Error('no Chromium found (install chromium, or let CHROMIUM_PATH name one)');
  const args = ['--no-sandbox', '--disable-gpu', '--disable-background-networking'];
  browser ??= chromium.launch({ executablePath, args });
  return browser;
}

export async function closeBrowser(): Promise<void> {
  await (await browser)?.close();
  browser = undefined;
}

/** The version of the Chromium. */
export async function chromiumVersion(): Promise<string> {
  return (await launch()).version();
}

/**
 * Opens a page in a new profile and hands it to `use`.
 * @throws Error with what the page wrote to its console, where `use` or a script of the page throws
 */
export async function withPage<T>(url: string, use: (page: Page) => Promise<T>): Promise<T> {
  const context = await (await launch()).newContext();
  const heard: string[] = [];
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(LIMIT);
    page.on('console', (message) => heard.push(message.text()));
    const failed = new Promise<never>((_resolve, reject) => page.on('pageerror', reject));
    failed.catch(() => {});
    page.on('requestfailed', (request) => heard.push(`${request.url()} ${request.failure()?.errorText}`));
    await page.goto(url);
    return await Promise.race([use(page), failed]);
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}\n${heard.join('\n')}`);
  } finally {
    await context.close();
  }
}

/** What the page's program left at `name`, once it is there. */
export async function leftAt(page: Page, name: string): Promise<unknown> {
  const handle = await page.waitForFunction((key) => Reflect.get(globalThis, key), name);
  return handle.jsonValue();
}

/**
 * Finding a Chromium to run the browser tests in: the one that `CHROMIUM_PATH` names and no other, else Debian's place, else
 * the first on PATH. Called by vitest.config.ts, in Node.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** Path of a Chromium that can be started, or null. */
export function findChromium(): string | null {
  const { CHROMIUM_PATH: asked, PATH: path } = process.env;
  if (asked !== undefined && asked !== '') return isExecutable(asked) ? asked : null;
  const folders = ['/usr/bin', ...(path ?? '').split(delimiter)];
  const candidates = folders.flatMap((folder) => NAMES.map((name) => join(folder, name)));
  return candidates.find(isExecutable) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

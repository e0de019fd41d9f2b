/** What Node does its own way: reading bytes. The browser's twin is `browser.ts`; package.json's `#platform` chooses. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

export const platform: 'node' | 'browser' = 'node';

/** All bytes behind a URL; `file:` is read from disk, anything else is fetched. */
export async function readBytes(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  if (url.protocol === 'file:') return new Uint8Array(await readFile(url));
  const response = await fetch(url);
  if (!response.ok)
    throw new Error(`readBytes: ${url.href} answered ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Where a folder named by a path lies. */
export function folderUrl(folder: string | URL): URL {
  if (folder instanceof URL) return folder.href.endsWith('/') ? folder : new URL(`${folder.href}/`);
  return pathToFileURL(`${resolve(folder)}/`);
}

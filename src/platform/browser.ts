/** What a browser does its own way: reading bytes. Node's twin is `node.ts`; package.json's `#platform` chooses. */

export const platform: 'node' | 'browser' = 'browser';

/** All bytes behind a URL, fetched. */
export async function readBytes(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url);
  if (!response.ok)
    throw new Error(`readBytes: ${url.href} answered ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Where a folder named by URL text lies, relative to the page or worker. */
export function folderUrl(folder: string | URL): URL {
  const url = new URL(folder, globalThis.location.href);
  return url.href.endsWith('/') ? url : new URL(`${url.href}/`);
}

/** Node reads `file:` URLs by range; a page has none to read. */
export async function fileSource(_url: URL): Promise<null> {
  return null;
}

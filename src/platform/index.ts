/**
 * The platform that this code runs on, found when it runs: one built package is the same file for Node, for every bundler and
 * for a page without one, and no resolver has to choose. Everything outside this folder imports from here; what starts threads, from `workers.ts` too.
 */
import { browser } from './browser.js';
import { isNode, node } from './node.js';
import type { Platform } from './platform.js';

export { messageOf, type Platform, ReadError, type WorkerScript } from './platform.js';

const chosen: Platform = /* @__PURE__ */ isNode() ? node : browser;

export const platform: Platform['name'] = chosen.name;
export const { readBytes, resolveUrl, cores, threadsObstacle } = chosen;

/** A file in a folder named by a URL, or by text as `resolveUrl` takes it. The folder's query stays: it may hold a token. */
export function fileInFolder(folder: string | URL, name: string): URL {
  const url = new URL(typeof folder === 'string' ? resolveUrl(folder) : folder);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/${name}`;
  url.hash = '';
  return url;
}

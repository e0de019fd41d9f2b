/** In place of `node.ts` in a bundle for a page, where package.json's `browser` is read: `index.ts` is left with `browser.ts`. */
export { browser as node } from './browser.js';

export const isNode = (): boolean => false;

/** The peers' page: `main.ts` opens one for each contestant and calls what it leaves on `globalThis`. */
import { naiveModule, pageCeilings } from '../browser/compiled.js';
import { CONTESTANTS } from './contestants.js';
import { type Host, LocalHost } from './host.js';

const local = new LocalHost(CONTESTANTS, async (threads) => ({
  threads,
  filesOf: (name) => `/files/${name}/`,
  naive: await naiveModule(),
  python: null,
}));

const host = (method: keyof Host, args: unknown[]): Promise<unknown> =>
  (local[method] as (...all: unknown[]) => Promise<unknown>)(...args);

Object.assign(globalThis, { benchPage: { host, ceilings: pageCeilings } });

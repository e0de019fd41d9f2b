/** The peers' page: `main.ts` opens one for each contestant and calls what it leaves on `globalThis`. */
import { naiveModule, pageCeilings } from '../../browser/compiled.js';
import { callsOf } from '../host.js';
import { CONTESTANTS } from './index.js';

const host = callsOf(CONTESTANTS, async (threads) => ({
  threads,
  filesOf: (name) => `/files/${name}/`,
  naive: await naiveModule(),
  python: null,
}));

Object.assign(globalThis, { benchPage: { ...host, ceilings: pageCeilings } });

/** The peers' page: `main.ts` opens one for each contestant and calls what it leaves on `globalThis`. */
import { compiled } from '../../browser/compiled.js';
import { measureCeilings } from '../../core/peak.js';
import { localHost } from '../host.js';
import { CONTESTANTS } from './index.js';

const host = localHost(CONTESTANTS, async (threads) => ({
  threads,
  filesOf: (name) => `/files/${name}/dist/`,
  naive: await WebAssembly.compile(await compiled('naive')),
  python: null,
}));

Object.assign(globalThis, { benchPage: { ...host, ceilings: () => measureCeilings(compiled, () => null) } });

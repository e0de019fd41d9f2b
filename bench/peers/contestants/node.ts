/** A contestant's process of Node: `main.ts` starts one for each and asks it. PyTorch is started from here alone. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { fusedElsewhere } from '../../core/ceilings.js';
import { answerParent } from '../../core/child.js';
import { compiled } from '../../core/compile.js';
import { measureCeilings } from '../../core/peak.js';
import { localHost } from '../host.js';
import { PYTORCH } from '../peer.js';
import { CONTESTANTS } from './index.js';

const { BENCH_PYTHON = '' } = process.env;
const contestants = { ...CONTESTANTS, [PYTORCH]: async () => (await import('../pytorch.js')).loadPytorch };
const host = localHost(contestants, async (threads) => ({
  threads,
  filesOf: (name) => fileURLToPath(new URL(`../node_modules/${name}/dist/`, import.meta.url)),
  naive: await WebAssembly.compile(await compiled('naive')),
  python: existsSync(BENCH_PYTHON) ? BENCH_PYTHON : null,
}));

answerParent({ ...host, ceilings: () => measureCeilings(compiled, fusedElsewhere) });

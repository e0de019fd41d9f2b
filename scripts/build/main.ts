/**
 * `npm run build:ts`: from `src/` and the kernels in `build/` to `dist/`, what is published. Each module of `src/` stays a file
 * of its own, so that bundlers leave out what nobody imports and a stack trace names what one reads here.
 */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { buildInline } from './inline.js';
import { DIST, ROOT } from './paths.js';
import { buildTypes } from './types.js';
import { bundleVendors } from './vendor.js';
import { buildWorker } from './worker.js';

rmSync(DIST, { recursive: true, force: true });
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: ROOT, stdio: 'inherit' });
await buildTypes();
await bundleVendors();
await buildWorker();
await buildInline();

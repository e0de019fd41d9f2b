/** Where the build reads and writes. */
import { fileURLToPath } from 'node:url';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export const ROOT = here('../../');
export const DIST = here('../../dist/');
export const KERNELS = here('../../build/');
export const MODULES = here('../../node_modules/');

/** What every engine with WebAssembly SIMD understands. */
export const TARGET = 'es2022';

/**
 * The two baselines that people write first: plain TypeScript loops, and the same loops in scalar WebAssembly. The second
 * is compiled here, at bench time, from `assembly/naive.ts` into `out/`, which is not committed.
 */
import { compile } from './compile.js';

/** The module, compiled when its source changed. */
export async function buildNaive(): Promise<WebAssembly.Module> {
  return new WebAssembly.Module(await compile('naive'));
}

/** A host in a page: `chromium.ts` bundles this file, opens it and calls what it leaves on `globalThis`. */
import { peakOf } from '../peak.js';
import { CONTESTANTS } from './contestants.js';
import { type Host, LocalHost } from './host.js';

const compiled = async (name: string): Promise<WebAssembly.Module> =>
  WebAssembly.compileStreaming(fetch(`/compiled/${name}.wasm`));

const host = new LocalHost(CONTESTANTS, async (threads) => ({
  threads,
  filesOf: (name) => `/files/${name}/`,
  naive: await compiled('naive'),
  python: null,
}));

/** What the page answers. */
export interface PageCalls {
  call(method: keyof Host, args: unknown[]): Promise<unknown>;
  ceilings(): Promise<{ fused: number; plain: number }>;
}

const calls: PageCalls = {
  call: (method, args) => (host[method] as (...all: unknown[]) => Promise<unknown>)(...args),
  ceilings: async () => ({
    fused: peakOf(await compiled('ceiling-simd-relaxed-simd')),
    plain: peakOf(await compiled('ceiling-simd')),
  }),
};

Object.assign(globalThis, { peersPage: calls });

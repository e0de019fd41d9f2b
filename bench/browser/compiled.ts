/** The benchmark's own modules, as the page's server gives them, and this page's ceilings by them. */
import { peakOf, readSpeedOf } from '../core/peak.js';
import type { Ceilings } from '../core/records.js';

const PLAIN = 'ceiling-simd';
const RELAXED = 'ceiling-simd-relaxed-simd';

async function bytesOf(name: string): Promise<ArrayBuffer> {
  const response = await fetch(`/compiled/${name}.wasm`);
  if (!response.ok) throw new Error(`compiled: ${name}.wasm answered ${response.status}, expected 200`);
  return response.arrayBuffer();
}

export async function naiveModule(): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await bytesOf('naive'));
}

export async function ceilingLoops(relaxed: boolean): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await bytesOf(relaxed ? RELAXED : PLAIN));
}

/** The fused ceiling is null where the browser has no relaxed SIMD. */
export async function pageCeilings(): Promise<Ceilings> {
  const plain = await ceilingLoops(false);
  const hasRelaxed = WebAssembly.validate(await bytesOf(RELAXED));
  return {
    fused: hasRelaxed ? peakOf(await ceilingLoops(true)) : null,
    plain: peakOf(plain),
    readGBs: readSpeedOf(plain),
  };
}

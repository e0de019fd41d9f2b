/** The benchmark's own modules, as the page's server gives them, and this page's ceilings by them. */
import { peakOf, readSpeedOf } from '../peak.js';
import type { Ceilings } from '../records.js';

async function bytesOf(name: string): Promise<ArrayBuffer> {
  const response = await fetch(`/compiled/${name}.wasm`);
  if (!response.ok) throw new Error(`compiled: ${name}.wasm answered ${response.status}, expected 200`);
  return response.arrayBuffer();
}

export async function naiveModule(): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await bytesOf('naive'));
}

/** The fused ceiling is null where the browser has no relaxed SIMD. */
export async function pageCeilings(): Promise<Ceilings> {
  const plain = await WebAssembly.compile(await bytesOf('ceiling-simd'));
  const fused = await bytesOf('ceiling-simd-relaxed-simd');
  return {
    fused: WebAssembly.validate(fused) ? peakOf(await WebAssembly.compile(fused)) : null,
    plain: peakOf(plain),
    readGBs: readSpeedOf(plain),
  };
}

/** What the page's server gives beside the bundle. */
import type { Compiled } from '../core/peak.js';

/** @throws Error where the server has no such file */
export async function fetched(path: string): Promise<Response> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`fetched: ${path} answered ${response.status}, expected 200`);
  return response;
}

/** The benchmark's own modules. */
export const compiled: Compiled = async (name) => (await fetched(`/compiled/${name}.wasm`)).arrayBuffer();

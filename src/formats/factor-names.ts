/**
 * What the tensors of a layer are called by the programs other than PEFT, in one table for their readers and writers and for telling
 * whose a file is. PEFT's names are in peft-keys.ts.
 */
import type { AdapterFormat } from './lora-file.js';

type Other = Exclude<AdapterFormat, 'peft'>;

/** What stands behind a layer's path; in GGUF behind the name of the base's tensor. */
const ENDS: Readonly<Record<Other, { readonly A: string; readonly B: string }>> = {
  kohya: { A: '.lora_down.weight', B: '.lora_up.weight' },
  loralib: { A: '.lora_A', B: '.lora_B' },
  mlx: { A: '.lora_a', B: '.lora_b' },
  gguf: { A: '.lora_a', B: '.lora_b' },
};

/** What stands there for DoRA's magnitude, which loralib and llama.cpp do not have. */
export const MAGNITUDE_END = { kohya: '.dora_scale', mlx: '.m' } as const;

/** A factor's name. */
export function factorName(format: Other, path: string, half: 'A' | 'B'): string {
  return path + ENDS[format][half];
}

/** The layer and the factor that a name means; null for another tensor. */
export function factorOf(format: Other, name: string): { path: string; half: 'A' | 'B' } | null {
  for (const half of ['A', 'B'] as const) {
    const end = ENDS[format][half];
    if (name.length > end.length && name.endsWith(end)) return { path: name.slice(0, -end.length), half };
  }
  return null;
}

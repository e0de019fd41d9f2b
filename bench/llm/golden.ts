/** The greedy text that a model is known to write, where the folder of golden values has one for a file of its name. Node's alone. */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What transformers wrote, the likeliest token each time. */
export interface Greedy {
  readonly prompt: string;
  readonly text: string;
  readonly tokens: number;
}

/** In `GOLDEN_DIR`, else in `test/golden`; null where nothing is known of a file of this name. */
export function greedyOf(model: string): Greedy | null {
  const { GOLDEN_DIR: asked = '' } = process.env;
  const folder = asked === '' ? fileURLToPath(new URL('../../test/golden', import.meta.url)) : resolve(asked);
  const file = join(folder, 'smollm2/index.json');
  if (!existsSync(file)) return null;
  const { gguf, greedy_base: base } = JSON.parse(readFileSync(file, 'utf8')) as {
    gguf: string;
    greedy_base: { prompt: string; text: string; ids: number[] };
  };
  return gguf === basename(model) ? { prompt: base.prompt, text: base.text, tokens: base.ids.length } : null;
}

/** What a model is known to write, and the losses it is known to train by, where the folder of golden values has a file of its name. Node's alone. */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSafetensors } from 'lora-wasm/formats';

/** Of transformers and PEFT; plain values, which cross a page's border. */
export interface Golden {
  /** The likeliest token each time. */
  readonly greedy: { readonly prompt: string; readonly text: string; readonly tokens: number };
  /** A batch of training, [rows, length]; -100 does not count. */
  readonly ids: number[];
  readonly labels: number[];
  readonly shape: readonly [rows: number, length: number];
  /** Of the first steps of AdamW, with `SETTINGS` of `step.ts`. */
  readonly losses: number[];
  readonly norms: number[];
  /** The adapter that they start from: PEFT's two files in base 64. */
  readonly adapter: { readonly config: string; readonly weights: string };
}

interface Index {
  readonly gguf: string;
  readonly greedy_base: { readonly prompt: string; readonly text: string; readonly ids: number[] };
  readonly train: { readonly losses: number[]; readonly grad_norms_before_clipping: number[] };
}

/** In `GOLDEN_DIR`, else in `test/golden`; null where nothing is known of a file of this name. */
export function goldenOf(model: string): Golden | null {
  const { GOLDEN_DIR: asked = '' } = process.env;
  const folder = asked === '' ? fileURLToPath(new URL('../../test/golden', import.meta.url)) : resolve(asked);
  const read = (name: string): Buffer => readFileSync(join(folder, 'smollm2', name));
  if (!existsSync(join(folder, 'smollm2/index.json'))) return null;
  const { gguf, greedy_base: base, train } = JSON.parse(read('index.json').toString()) as Index;
  if (gguf !== basename(model)) return null;
  const batch = parseSafetensors(read('train.safetensors'));
  return {
    greedy: { prompt: base.prompt, text: base.text, tokens: base.ids.length },
    ids: Array.from(batch.array('ids'), Number),
    labels: Array.from(batch.array('labels'), Number),
    shape: batch.info('ids').shape as [number, number],
    losses: train.losses,
    norms: train.grad_norms_before_clipping,
    adapter: {
      config: read('init/adapter_config.json').toString('base64'),
      weights: read('init/adapter_model.safetensors').toString('base64'),
    },
  };
}

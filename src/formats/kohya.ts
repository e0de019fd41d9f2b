/**
 * kohya's image LoRA files: `lora_unet_<path>` or `lora_te_<path>` with underscores, then `.lora_down.weight` (A),
 * `.lora_up.weight` (B) and `.alpha`. Underscores cannot be turned back into dots, so the name stands as the path.
 */
import { FormatError } from './errors.js';
import {
  bothHalves,
  checkHeld,
  type ExtraTensor,
  factorsOnly,
  type Halves,
  type LoraFile,
  loraModule,
  strengthOf,
  type TargetRules,
} from './lora-file.js';
import { extraTensor } from './peft-read.js';
import { type LoraWriteOptions, plainAlpha } from './peft-write.js';
import { parseSafetensors } from './safetensors-read.js';
import { type WritableTensor, writeSafetensors } from './safetensors-write.js';

/** Linear layers and ungrouped convolutions. */
export const KOHYA_RULES: TargetRules = {
  module: ({ kind, r, B }) => {
    if (kind === 'embedding') return 'kohya files have no embeddings';
    return kind === 'conv2d' && B.shape[1] !== r ? 'a grouped convolution' : null;
  },
  extra: factorsOnly,
};

/** A layer without `.alpha` has alpha = rank, scale 1. @throws FormatError */
export function readKohya(weights: Uint8Array | ArrayBuffer): LoraFile {
  const file = parseSafetensors(weights);
  const factors = new Map<string, Halves>();
  const alphas = new Map<string, number>();
  const extras: ExtraTensor[] = [];
  for (const name of file.names) {
    const found = /^(.+)\.(lora_down\.weight|lora_up\.weight|alpha)$/.exec(name);
    if (found === null) {
      const kind = name.endsWith('.dora_scale') ? 'magnitude' : 'unknown';
      extras.push({ name, kind, tensor: extraTensor(file, name) });
      continue;
    }
    const [, path = '', slot] = found;
    const { shape } = file.info(name);
    if (slot === 'alpha') {
      const values = file.array(name);
      if (values.length !== 1)
        throw new FormatError(`readKohya: '${name}' is [${shape.join(', ')}], expected one number`);
      alphas.set(path, Number(values[0]));
      continue;
    }
    const halves = factors.get(path) ?? {};
    halves[slot === 'lora_down.weight' ? 'A' : 'B'] = { shape, data: file.f32(name) };
    factors.set(path, halves);
  }
  const modules = [...factors].map(([path, halves]) => {
    const pair = bothHalves('readKohya', path, halves);
    const kind = pair.A.shape.length === 4 ? 'conv2d' : 'linear';
    return loraModule('readKohya', path, kind, pair, (r) => strengthOf(alphas.get(path) ?? r, r));
  });
  return { format: 'kohya', modules, extras, config: null, warnings: [] };
}

/**
 * kohya's name of a path: `lora_te_text_model_` for text models, which transformers has with `text_model.` and since its
 * version 5 without; else `lora_unet_`. A name that is one already stays.
 */
export function kohyaName(path: string): string {
  if (/^lora_(?:unet|te\d?)_/.test(path)) return path;
  const inner = path.replace(/^text_model\./, '');
  const text = inner !== path || inner.startsWith('encoder.layers.');
  return `${text ? 'lora_te_text_model_' : 'lora_unet_'}${inner.replaceAll('.', '_')}`;
}

/** @throws FormatError for what cannot be held, and for two paths that get one name */
export function writeKohya(file: LoraFile, options: LoraWriteOptions = {}): Uint8Array<ArrayBuffer> {
  const where = 'writeKohya';
  checkHeld(where, file, KOHYA_RULES);
  const paths = new Map<string, string>();
  const tensors: [string, WritableTensor][] = [];
  for (const module of file.modules) {
    const name = kohyaName(module.path);
    const other = paths.get(name);
    if (other !== undefined)
      throw new FormatError(
        `${where}: '${other}' and '${module.path}' are both '${name}', expected two names`,
      );
    paths.set(name, module.path);
    const alpha = Float32Array.of(plainAlpha(where, module));
    tensors.push(
      [`${name}.lora_down.weight`, module.A],
      [`${name}.lora_up.weight`, module.B],
      [`${name}.alpha`, { shape: [], data: alpha }],
    );
  }
  return writeSafetensors(tensors, { allowNonFinite: options.allowNonFinite ?? false });
}

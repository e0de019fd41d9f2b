/** kohya's names of layers: what its files have in the place of dotted paths. Called by its writer, and where its files meet a model. */
import { checkText } from './check.js';

/**
 * kohya's name of a path: `lora_te_text_model_` for text models, which transformers has with `text_model.` and since its
 * version 5 without; else `lora_unet_`. What names the part of the pipeline already (`unet.`, `text_encoder.`) gives way to
 * it, and a name that has such a prefix stays.
 */
export function kohyaName(path: string): string {
  checkText('kohyaName: path', path);
  if (/^(?:lora|lycoris)_[a-z]+\d*_[^.]*$/.test(path)) return path;
  const [, encoder = null, of] = /^text_encoder(_\d)?\.(.+)$/s.exec(path) ?? [];
  const bare = of ?? path.replace(/^(?:unet|diffusion_model)\.(?=.)/, '');
  const inner = bare.replace(/^text_model\.(?=.)/, '');
  const text = of !== undefined || inner !== bare || inner.startsWith('encoder.layers.');
  const prefix = text ? `lora_te${encoder?.slice(1) ?? ''}_text_model_` : 'lora_unet_';
  return `${prefix}${inner.replaceAll('.', '_')}`;
}

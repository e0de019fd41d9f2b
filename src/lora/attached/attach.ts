/** Attaching to a model: freezing it, and the first adapter. */
import type { Module } from '../../nn/module.js';
import { type LoraConfig, resolveConfig } from '../config/config.js';
import { checkAdapterName } from './adapter-set.js';
import { addAdapter } from './add-adapter.js';
import { Attachment } from './attachment.js';
import { activate } from './switch.js';

/** @param config - of the adapter to add and activate, if any @throws TypeError, RangeError, AdapterError; the model is then unchanged */
export function attachTo<M extends Module>(
  where: string,
  model: M,
  config: LoraConfig | undefined,
  name: string,
): Attachment<M> {
  const resolved = config === undefined ? null : resolveConfig(where, config);
  checkAdapterName(where, name);
  const attachment = new Attachment(where, model);
  if (resolved === null) return attachment;
  try {
    addAdapter(attachment, where, { name, config: resolved });
  } catch (error) {
    attachment.detach();
    throw error;
  }
  activate(attachment, where, [name]);
  return attachment;
}

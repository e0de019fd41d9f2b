/** Which adapters of a model take part, and at which scale: `setAdapter`, `setScale` and `deleteAdapter`. */
import { checkNumber } from '../../values/checks.js';
import { AdapterError } from '../errors.js';
import type { Attachment } from './attachment.js';

/** Makes exactly these adapters active. @throws AdapterError; nothing has changed then */
export function activate(attachment: Attachment, where: string, names: readonly string[]): void {
  attachment.guard.checkEnabled(where);
  attachment.adapters.activate(where, names, attachment.merged);
  for (const { state } of attachment.layers) state.active = names.filter((name) => state.has(name));
}

/** @throws TypeError, RangeError, AdapterError */
export function setScale(attachment: Attachment, where: string, name: string, multiplier: number): void {
  const { plan } = attachment.adapters.get(where, name);
  checkNumber(`${where}: multiplier`, multiplier, -Number.MAX_VALUE, Number.MAX_VALUE);
  checkNotMerged(attachment, where, name);
  for (const { layer } of plan.layers) layer.setScale(name, multiplier);
}

/** @throws AdapterError */
export function deleteAdapter(attachment: Attachment, where: string, name: string): void {
  const { adapters, merged } = attachment;
  const adapter = adapters.get(where, name);
  attachment.guard.checkEnabled(where);
  checkNotMerged(attachment, where, name);
  if (adapters.active.includes(name)) adapters.checkChange(where, adapter, merged);
  adapters.remove(adapter);
}

function checkNotMerged({ merged }: Attachment, where: string, name: string): void {
  if (merged.includes(name))
    throw new AdapterError(`${where}: adapter '${name}' is merged, expected unmerge() first`);
}

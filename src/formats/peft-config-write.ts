/** Writing `adapter_config.json` with PEFT's fields. */

import { FormatError } from '../values/format-error.js';
import { checkObject, wrongType } from './check.js';
import { JsonNumber } from './json.js';
import { NAMED_FIELDS, PEFT_DEFAULTS, type PeftConfig } from './peft-config.js';

/** The bytes of `adapter_config.json`: two spaces, sorted keys, every field that PEFT writes. */
export function formatPeftConfig(
  config: Partial<PeftConfig> & Pick<PeftConfig, 'r' | 'loraAlpha' | 'targetModules'>,
): Uint8Array<ArrayBuffer> {
  checkObject('formatPeftConfig: config', config, "PEFT's fields");
  const fields = new Map<string, unknown>(Object.entries(PEFT_DEFAULTS));
  const { otherFields, ...named } = config;
  for (const [name, value] of otherFields ?? []) fields.set(name, value);
  for (const [key, value] of Object.entries(named)) {
    const name = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (!NAMED_FIELDS.has(name))
      throw new FormatError(`formatPeftConfig: ${key} is no field of PEFT's LoraConfig`);
    if (value !== undefined) fields.set(name, value);
  }
  fields.set('inference_mode', true);
  const lines = [...fields]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `  ${JSON.stringify(name)}: ${toJson(name, value)}`);
  return new TextEncoder().encode(`{\n${lines.join(',\n')}\n}`);
}

function toJson(name: string, value: unknown, indent = '  '): string {
  if (value instanceof JsonNumber) return value.text;
  const inner = `${indent}  `;
  const block = (open: string, items: string[], close: string): string =>
    items.length === 0
      ? open + close
      : `${open}\n${items.map((item) => inner + item).join(',\n')}\n${indent}${close}`;
  if (Array.isArray(value))
    return block(
      '[',
      value.map((entry) => toJson(name, entry, inner)),
      ']',
    );
  // Maps keep their order: a JavaScript object would move keys like "0" to the front, and the first match wins.
  if (value instanceof Map) {
    const entries = [...(value as Map<string, unknown>)].map(
      ([key, entry]) => `${JSON.stringify(key)}: ${toJson(name, entry, inner)}`,
    );
    return block('{', entries, '}');
  }
  // JSON has no word for it, and would write null.
  if (typeof value === 'number' && !Number.isFinite(value))
    throw new FormatError(`formatPeftConfig: ${name} has the value ${value}, expected finite numbers`);
  if (name === 'lora_dropout' && Number.isInteger(value)) return `${value}.0`;
  return plainJson(name, value);
}

/** @throws TypeError for what JSON has no words for */
function plainJson(name: string, value: unknown): string {
  const text = textOf(value);
  if (text === undefined) throw wrongType(`formatPeftConfig: ${name}`, value, 'what JSON can write');
  return text;
}

function textOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

/**
 * Reading `adapter_config.json` with PEFT's defaults and checks. Options that change the maths and that nothing here
 * implements are refused by name; unknown fields are kept for the way back.
 */

import { FormatError } from '../values/format-error.js';
import { bytesOf, checkObject, under } from './check.js';
import { ConfigFields, show } from './config-fields.js';
import { decodeUtf8, type Json, parseJson } from './json.js';
import { NAMED_FIELDS, PEFT_DEFAULTS, type PeftConfig } from './peft-config.js';
import { BIAS_WORDS, INIT_WORDS, initWord, isBiasWord, TASK_TYPES } from './peft-words.js';

const WHERE = 'adapter_config.json';

/** Fields that change the maths and have no implementation: refused unless absent, null, false or empty. */
const REFUSED = [
  'alora_invocation_tokens',
  'arrow_config',
  'kasa_config',
  'layer_replication',
  'megatron_config',
  'monteclora_config',
  'target_parameters',
  'trainable_token_indices',
  'use_bdlora',
  'use_qalora',
  'velora_config',
];

/**
 * @param source - the JSON text, its bytes, or the parsed object
 * @returns the config, and what a reader should know (unknown fields)
 * @throws FormatError
 */
export function parsePeftConfig(source: string | object | Uint8Array): {
  config: PeftConfig;
  warnings: string[];
} {
  return readPeftConfig('parsePeftConfig', source);
}

/** The same for a function of another name, which its errors begin with. */
export function readPeftConfig(where: string, source: string | object | Uint8Array) {
  return under(where, () => parse(textOf(source)));
}

function textOf(source: unknown): string {
  if (typeof source === 'string') return source;
  if (ArrayBuffer.isView(source)) return decodeUtf8(WHERE, bytesOf(WHERE, source));
  checkObject(WHERE, source, 'text, bytes or the parsed object');
  try {
    return JSON.stringify(source);
  } catch (cause) {
    throw new TypeError(`${WHERE}: the object is none that JSON can write, expected one`, { cause });
  }
}

function parse(text: string): { config: PeftConfig; warnings: string[] } {
  const root = parseJson(WHERE, text);
  if (!(root instanceof Map)) throw new FormatError(`${WHERE}: the file is no object, expected one`);
  const type = root.get('peft_type');
  if (type !== 'LORA') throw new FormatError(`${WHERE}: peft_type is ${show(type)}, expected "LORA"`);
  const refused = REFUSED.filter((field) => isSet(root.get(field)));
  if (refused.length > 0)
    throw new FormatError(
      `${WHERE}: ${refused.join(', ')} is set, which changes the maths and is not implemented; expected it unset`,
    );
  const warnings = [...root.keys()]
    .filter((field) => !Object.hasOwn(PEFT_DEFAULTS, field) && field !== 'runtime_config')
    .map((field) => `${WHERE}: unknown field '${field}' was not used`);
  const read = new ConfigFields(WHERE, root);
  const bias = root.get('bias') ?? 'none';
  if (!isBiasWord(bias)) throw unknownWord('bias', bias, BIAS_WORDS);
  const task = root.get('task_type') ?? null;
  if (task !== null && !TASK_TYPES.some((type) => type === task))
    throw unknownWord('task_type', task, ['null', ...TASK_TYPES]);
  const init = initOf(root.get('init_lora_weights'));
  const r = read.integer('r', 8);
  if (r < 1) throw new FormatError(`${WHERE}: r is ${r}, expected an integer from 1 up`);
  const loraDropout = read.number('lora_dropout', 0);
  if (loraDropout < 0 || loraDropout > 1)
    throw new FormatError(`${WHERE}: lora_dropout is ${loraDropout}, expected 0 to 1`);
  const config: PeftConfig = {
    r,
    loraAlpha: read.number('lora_alpha', 8),
    loraDropout,
    targetModules: read.names('target_modules'),
    excludeModules: read.names('exclude_modules'),
    modulesToSave: read.list('modules_to_save'),
    bias,
    useRslora: read.boolean('use_rslora'),
    useDora: read.boolean('use_dora'),
    fanInFanOut: read.boolean('fan_in_fan_out'),
    initLoraWeights: init,
    rankPattern: read.ranks('rank_pattern'),
    alphaPattern: read.alphas('alpha_pattern'),
    layersToTransform: read.layers('layers_to_transform'),
    layersPattern: read.names('layers_pattern'),
    loraBias: read.boolean('lora_bias'),
    otherFields: new Map(
      [...root].filter(([field]) => !NAMED_FIELDS.has(field) && field !== 'runtime_config'),
    ),
  };
  return { config, warnings };
}

/** PEFT reads null as false: nothing is drawn anew. @throws FormatError */
function initOf(value: Json | undefined): boolean | string {
  if (value === undefined || typeof value === 'boolean') return value ?? true;
  if (value === null) return false;
  const word = typeof value === 'string' ? initWord(value) : null;
  if (word === null) throw unknownWord('init_lora_weights', value, ['true', 'false', ...INIT_WORDS]);
  return word;
}

function unknownWord(field: string, value: Json, expected: readonly string[]): FormatError {
  return new FormatError(`${WHERE}: ${field} is ${show(value)}, expected one of ${expected.join(', ')}`);
}

function isSet(value: Json | undefined): boolean {
  if (value === undefined || value === null || value === false) return false;
  return value instanceof Map ? value.size > 0 : !Array.isArray(value) || value.length > 0;
}

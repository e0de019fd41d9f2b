/**
 * PEFT's `adapter_config.json` for LoRA: read with PEFT's defaults and checks, written with PEFT's fields. Options that
 * change the maths and that nothing here implements are refused by name; unknown fields are kept for the way back.
 */
import { FormatError } from './errors.js';
import { decodeUtf8, type Json, JsonNumber, parseJson } from './json.js';

/** PEFT's LoraConfig fields in camelCase. Patterns keep the order of the file: the first match wins. */
export interface PeftConfig {
  readonly r: number;
  readonly loraAlpha: number;
  readonly loraDropout: number;
  readonly targetModules: readonly string[] | string | null;
  readonly excludeModules: readonly string[] | string | null;
  readonly modulesToSave: readonly string[] | null;
  readonly bias: 'none' | 'all' | 'lora_only';
  readonly useRslora: boolean;
  readonly useDora: boolean;
  readonly fanInFanOut: boolean;
  readonly initLoraWeights: boolean | string;
  readonly rankPattern: ReadonlyMap<string, number>;
  readonly alphaPattern: ReadonlyMap<string, number>;
  readonly layersToTransform: readonly number[] | number | null;
  readonly layersPattern: readonly string[] | string | null;
  readonly loraBias: boolean;
  /** The file's other fields, unknown ones too, as JSON: they are written back as they came. */
  readonly otherFields: ReadonlyMap<string, Json>;
}

/** Every field that PEFT 0.21 writes, with its default, in JSON. */
const DEFAULTS: Readonly<Record<string, unknown>> = {
  alora_invocation_tokens: null,
  alpha_pattern: {},
  arrow_config: null,
  auto_mapping: null,
  base_model_name_or_path: null,
  bias: 'none',
  corda_config: null,
  ensure_weight_tying: false,
  eva_config: null,
  exclude_modules: null,
  fan_in_fan_out: false,
  inference_mode: true,
  init_lora_weights: true,
  kasa_config: null,
  layer_replication: null,
  layers_pattern: null,
  layers_to_transform: null,
  loftq_config: {},
  lora_alpha: 8,
  lora_bias: false,
  lora_dropout: 0.0,
  lora_ga_config: null,
  megatron_config: null,
  megatron_core: 'megatron.core',
  modules_to_save: null,
  monteclora_config: null,
  peft_type: 'LORA',
  peft_version: '0.21.0',
  qalora_group_size: 16,
  r: 8,
  rank_pattern: {},
  revision: null,
  target_modules: null,
  target_parameters: null,
  task_type: null,
  trainable_token_indices: null,
  use_bdlora: null,
  use_dora: false,
  use_qalora: false,
  use_rslora: false,
  velora_config: null,
};

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

/** Fields that `PeftConfig` has by name. */
const READ: ReadonlySet<string> = new Set([
  'r',
  'lora_alpha',
  'lora_dropout',
  'target_modules',
  'exclude_modules',
  'modules_to_save',
  'bias',
  'use_rslora',
  'use_dora',
  'fan_in_fan_out',
  'init_lora_weights',
  'rank_pattern',
  'alpha_pattern',
  'layers_to_transform',
  'layers_pattern',
  'lora_bias',
]);

const WHERE = 'adapter_config.json';

/**
 * @param source - the JSON text, its bytes, or the parsed object
 * @returns the config, and what a reader should know (unknown fields)
 * @throws FormatError
 */
export function parsePeftConfig(source: string | object | Uint8Array): {
  config: PeftConfig;
  warnings: string[];
} {
  const text =
    source instanceof Uint8Array
      ? decodeUtf8(WHERE, source)
      : typeof source === 'string'
        ? source
        : JSON.stringify(source);
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
    .filter((field) => !Object.hasOwn(DEFAULTS, field) && field !== 'runtime_config')
    .map((field) => `${WHERE}: unknown field '${field}' was not used`);
  const read = fieldReader(root);
  const bias = root.get('bias') ?? 'none';
  if (bias !== 'none' && bias !== 'all' && bias !== 'lora_only')
    throw new FormatError(`${WHERE}: bias is ${show(bias)}, expected "none", "all" or "lora_only"`);
  const init = root.get('init_lora_weights') ?? true;
  if (typeof init !== 'boolean' && typeof init !== 'string')
    throw new FormatError(`${WHERE}: init_lora_weights is ${show(init)}, expected a boolean or a string`);
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
    rankPattern: read.pattern('rank_pattern'),
    alphaPattern: read.pattern('alpha_pattern'),
    layersToTransform: read.layers('layers_to_transform'),
    layersPattern: read.names('layers_pattern'),
    loraBias: read.boolean('lora_bias'),
    otherFields: new Map([...root].filter(([field]) => !READ.has(field) && field !== 'runtime_config')),
  };
  return { config, warnings };
}

/** The bytes of `adapter_config.json`: two spaces, sorted keys, every field that PEFT writes. */
export function formatPeftConfig(
  config: Partial<PeftConfig> & Pick<PeftConfig, 'r' | 'loraAlpha' | 'targetModules'>,
): Uint8Array<ArrayBuffer> {
  const fields = new Map<string, unknown>(Object.entries(DEFAULTS));
  const { otherFields, ...named } = config;
  for (const [name, value] of otherFields ?? []) fields.set(name, value);
  for (const [key, value] of Object.entries(named)) {
    const name = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (!READ.has(name)) throw new FormatError(`formatPeftConfig: ${key} is no field of PEFT's LoraConfig`);
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
      value.map((entry) => toJson('', entry, inner)),
      ']',
    );
  // Maps keep their order: a JavaScript object would move keys like "0" to the front, and the first match wins.
  if (value instanceof Map) {
    const entries = [...(value as Map<string, unknown>)].map(
      ([key, entry]) => `${JSON.stringify(key)}: ${toJson('', entry, inner)}`,
    );
    return block('{', entries, '}');
  }
  if (name === 'lora_dropout' && Number.isInteger(value)) return `${value}.0`;
  return JSON.stringify(value);
}

function isSet(value: Json | undefined): boolean {
  if (value === undefined || value === null || value === false) return false;
  return value instanceof Map ? value.size > 0 : !Array.isArray(value) || value.length > 0;
}

function show(value: Json | undefined): string {
  if (value instanceof JsonNumber) return value.text;
  if (value instanceof Map) return 'an object';
  return value === undefined ? 'missing' : JSON.stringify(value);
}

function fieldReader(root: ReadonlyMap<string, Json>) {
  const wrong = (field: string, expected: string): never => {
    throw new FormatError(`${WHERE}: ${field} is ${show(root.get(field))}, expected ${expected}`);
  };
  const integer = (field: string, fallback: number): number => {
    const value = root.get(field);
    if (value === undefined) return fallback;
    return value instanceof JsonNumber && value.integer !== null ? value.integer : wrong(field, 'an integer');
  };
  const number = (field: string, fallback: number): number => {
    const value = root.get(field);
    if (value === undefined) return fallback;
    return value instanceof JsonNumber && Number.isFinite(value.value)
      ? value.value
      : wrong(field, 'a finite number');
  };
  const boolean = (field: string): boolean => {
    const value = root.get(field) ?? false;
    return typeof value === 'boolean' ? value : wrong(field, 'a boolean');
  };
  const list = (field: string): string[] | null => {
    const value = root.get(field) ?? null;
    if (value === null) return null;
    if (!Array.isArray(value)) return wrong(field, 'an array of strings');
    return value.map((entry) => (typeof entry === 'string' ? entry : wrong(field, 'an array of strings')));
  };
  const names = (field: string): string[] | string | null => {
    const value = root.get(field);
    return typeof value === 'string' ? value : list(field);
  };
  const layers = (field: string): number[] | number | null => {
    const value = root.get(field) ?? null;
    if (value === null) return null;
    if (!Array.isArray(value)) return integer(field, 0);
    return value.map((entry) =>
      entry instanceof JsonNumber && entry.integer !== null ? entry.integer : wrong(field, 'integers'),
    );
  };
  const pattern = (field: string): Map<string, number> => {
    const value = root.get(field) ?? null;
    if (value === null) return new Map();
    if (!(value instanceof Map)) return wrong(field, 'an object of numbers');
    return new Map(
      [...value].map(([key, n]) => [
        key,
        n instanceof JsonNumber ? n.value : wrong(field, 'an object of numbers'),
      ]),
    );
  };
  return { integer, number, boolean, list, names, layers, pattern };
}

/** An adapter of one program as another's. What the target cannot hold is an error, or is left out and listed. */

import { checkOptions, describe } from '../values/checks.js';
import { FormatError } from '../values/format-error.js';
import { checkAlpha, checkBase, checkFlags, underAsync } from './check.js';
import { type GgufBase, isReordered } from './gguf-base.js';
import { ggufRules, writeGguf } from './gguf-lora.js';
import { KOHYA_RULES, writeKohya } from './kohya.js';
import { type AdapterFormat, type LoraFile, notHeld, type TargetRules } from './lora-file.js';
import { LORALIB_RULES, writeLoralib } from './loralib.js';
import { mlxRules, writeMlx } from './mlx.js';
import { changesBase } from './peft-words.js';
import { PEFT_RULES, writePeft } from './peft-write.js';
import { type AdapterBytes, checkInput, readAdapter } from './read-adapter.js';

/** What `convert` takes beside the input. */
export interface ConvertOptions {
  readonly to: AdapterFormat;
  /** Alpha of every layer, required for and refused beside a file that has one. */
  readonly alpha?: number;
  /** The model of a GGUF adapter; for MLX it tells whether the head is the embedding. */
  readonly base?: GgufBase | null;
  /** Leave out what the target cannot hold. Default false: an error that names it. */
  readonly dropUnsupported?: boolean;
  /** Write NaN and infinity. Default false: an error that names the tensor. */
  readonly force?: boolean;
}

/** What `convert` gives: the bytes of each file by its name, and what it left out. */
export interface Converted {
  /** Files by the names that the target's program looks for; a single file where it looks for none. */
  readonly files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
  /** What was left out: the name, then why. Weights of the base itself always are, except in PEFT's own format. */
  readonly dropped: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
}

/**
 * Converts an adapter; the change scale·B·A of every layer stays the same within float32.
 * @throws FormatError when the input is no adapter, its alpha is unknown, or the target cannot hold all of it
 */
export async function convert(input: AdapterBytes, options: ConvertOptions): Promise<Converted> {
  const where = 'convert';
  const bytes = checkInput(where, input);
  checkOptions(where, options, ['to', 'alpha', 'base', 'dropUnsupported', 'force']);
  checkAlpha(where, options.alpha);
  checkBase(where, options.base);
  checkFlags(where, { dropUnsupported: options.dropUnsupported, force: options.force });
  rulesOf(options.to, null);
  return underAsync(where, () => convertBytes(bytes, options));
}

async function convertBytes(input: AdapterBytes, options: ConvertOptions): Promise<Converted> {
  const { to, base = null, dropUnsupported = false, force = false } = options;
  const alpha = options.alpha === undefined ? {} : { alpha: options.alpha };
  const file = await readAdapter(input, { ...alpha, base });
  if (file.modules.some(({ scale }) => scale === null))
    throw new FormatError(`convert: a ${file.format} file does not hold alpha, expected the option alpha`);
  const reordered = file.modules.find(({ path }) => base === null && isReordered('llama', path));
  if (file.format === 'gguf' && reordered !== undefined)
    throw new FormatError(
      `convert: the rows of '${reordered.path}' may be in GGUF's order, expected the option base to put them back`,
    );
  checkMagnitudes(file);
  const rules = rulesOf(to, base);
  const told = to === 'peft' ? null : initToTell(file);
  if (told !== null && !dropUnsupported)
    throw new FormatError(
      `convert: init_lora_weights is ${describe(told.init)}, which ${told.why}; ${to} cannot say so, expected peft`,
    );
  const lost = dropUnsupported ? notHeld(file, rules) : { modules: new Map(), extras: new Map() };
  const dropped = new Map<string, string>([...lost.modules, ...lost.extras]);
  if (told !== null) dropped.set('init_lora_weights', `'${told.init}' ${told.why}`);
  if (to !== 'peft')
    for (const { name, kind } of file.extras) if (kind === 'base') dropped.set(name, "the base's own weight");
  const left: LoraFile = {
    ...file,
    modules: file.modules.filter(({ path }) => !lost.modules.has(path)),
    extras: file.extras.filter(({ name }) => !lost.extras.has(name)),
  };
  const { files, warnings } = await write(left, to, base, force);
  return { files: new Map(Object.entries(files)), dropped, warnings: [...file.warnings, ...warnings] };
}

/** An initialisation that the target should know of, and what it did; null for those that leave a plain LoRA. */
function initToTell({ config }: LoraFile): { init: string; why: string } | null {
  const init = config?.initLoraWeights ?? true;
  if (init === 'mica') return { init, why: 'trained lora_A alone over a frozen lora_B' };
  return changesBase(init) ? { init: String(init), why: 'changed the base weights' } : null;
}

/** DoRA without its magnitudes: PEFT would start from the base's norms, which no other file holds. @throws FormatError */
function checkMagnitudes({ config, modules, extras }: LoraFile): void {
  if (config?.useDora !== true) return;
  const found = new Set(extras.flatMap(({ kind, layer }) => (kind === 'magnitude' ? [layer] : [])));
  const bare = modules.find(({ path }) => !found.has(path));
  if (bare !== undefined)
    throw new FormatError(
      `convert: use_dora is set and '${bare.path}' has no magnitude, expected one for each layer`,
    );
}

function rulesOf(to: AdapterFormat, base: GgufBase | null): TargetRules {
  const rules = {
    peft: PEFT_RULES,
    mlx: mlxRules(base?.tied ?? false),
    kohya: KOHYA_RULES,
    loralib: LORALIB_RULES,
    gguf: ggufRules(base),
  };
  if (typeof to !== 'string' || !Object.hasOwn(rules, to))
    throw new FormatError(
      `convert: to is ${typeof to === 'string' ? to : describe(to)}, expected one of ${Object.keys(rules).join(', ')}`,
    );
  return rules[to];
}

async function write(
  file: LoraFile,
  to: AdapterFormat,
  base: GgufBase | null,
  allowNonFinite: boolean,
): Promise<{ files: Record<string, Uint8Array<ArrayBuffer>>; warnings: string[] }> {
  const options = { allowNonFinite };
  if (to === 'peft') return { files: { ...writePeft(file, options) }, warnings: [] };
  if (to === 'mlx') {
    const tied = base?.tied ?? false;
    return {
      files: { ...writeMlx(file, { ...options, tied }) },
      warnings: base === null ? headWarnings(file) : [],
    };
  }
  if (to === 'kohya') return { files: { 'adapter.safetensors': writeKohya(file, options) }, warnings: [] };
  if (to === 'loralib') {
    const { weights, alpha } = writeLoralib(file, options);
    const warning = `convert: loralib files do not hold alpha; use this one with alpha ${alpha}`;
    return { files: { 'adapter.safetensors': weights }, warnings: [warning] };
  }
  const { bytes, warnings } = await writeGguf(file, { ...options, base });
  return { files: { 'adapter.gguf': bytes }, warnings };
}

/** mlx-lm applies an embedding's factors to the head as well where the model has one weight for both. */
function headWarnings({ modules }: LoraFile): string[] {
  const embedding = modules.find(({ kind }) => kind === 'embedding');
  return embedding === undefined
    ? []
    : [
        `convert: where '${embedding.path}' is the head too, mlx-lm adapts both, PEFT only the embedding; the option base tells`,
      ];
}

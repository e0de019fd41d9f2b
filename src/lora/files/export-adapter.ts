/** An adapter as PEFT's two files. PiSSA and OLoRA are converted to a plain adapter of the original base, unless told otherwise. */

import { checkText, under } from '../../formats/check.js';
import type { PeftConfig } from '../../formats/peft-config.js';
import { PEFT_PREFIX, peftKey, peftSlot } from '../../formats/peft-keys.js';
import { changesBase, TASK_TYPES } from '../../formats/peft-words.js';
import { writePeftForm } from '../../formats/peft-write.js';
import type { WritableTensor } from '../../formats/safetensors-write.js';
import { PATTERN_LIMIT } from '../../patterns/pattern.js';
import { escaped, exactKey } from '../../patterns/rules.js';
import { checkBoolean, checkOptions, describe } from '../../values/checks.js';
import type { AdapterSet } from '../attached/adapter-set.js';
import type { OwnCopy } from '../attached/copies.js';
import type { AdapterPlan } from '../attached/plan.js';
import type { ResolvedConfig } from '../config/config.js';
import { AdapterError } from '../errors.js';
import { adapterTensors, type NamedFactors } from '../layer/tensors.js';
import type { ChangedBase } from '../maths/factors.js';

/** PEFT's two files as bytes. */
export interface AdapterFiles {
  readonly 'adapter_config.json': Uint8Array<ArrayBuffer>;
  readonly 'adapter_model.safetensors': Uint8Array<ArrayBuffer>;
}

/** What `LoraModel.exportAdapter` takes beside the name. */
export interface ExportOptions {
  /** Turn PiSSA and OLoRA into an adapter of twice the rank that goes with the original base. Default true; false writes PEFT's own form, whose base must be changed on loading. */
  readonly convert?: boolean;
  /** Write NaN and infinity. Default false: they are an error. */
  readonly allowNonFinite?: boolean;
  /** PEFT's `task_type`, such as `'CAUSAL_LM'`. Default what the adapter was loaded with, else null. */
  readonly taskType?: string | null;
  /** PEFT's `base_model_name_or_path`: the model that the adapter goes with. Default what the adapter was loaded with, else null. */
  readonly baseModelNameOrPath?: string | null;
}

/** @throws AdapterError for an unknown name, FormatError when a weight is not finite */
export function exportAdapter(
  adapters: AdapterSet,
  name = adapters.active[0] ?? 'default',
  options: ExportOptions,
): AdapterFiles {
  const where = 'LoraModel.exportAdapter';
  checkOptions(where, options, ['convert', 'allowNonFinite', 'taskType', 'baseModelNameOrPath']);
  checkBoolean(`${where}: convert`, options.convert ?? true);
  checkBoolean(`${where}: allowNonFinite`, options.allowNonFinite ?? false);
  const adapter = adapters.get(where, name);
  const { fanInFanOut, plan } = adapter;
  const config = plan.unfit.length === 0 ? adapter.config : exactTargets(adapter.config, plan);
  const otherFields = withGiven(where, config.otherFields, options);
  return under(where, () => exportFiles({ ...config, fanInFanOut, otherFields }, adapter, options));
}

/** Fields that say what the adapter is for, where they are given. @throws TypeError */
function withGiven(
  where: string,
  fields: PeftConfig['otherFields'] = new Map(),
  { taskType, baseModelNameOrPath }: ExportOptions,
): PeftConfig['otherFields'] {
  const all = new Map(fields);
  if (taskType !== undefined) {
    if (taskType !== null && !TASK_TYPES.some((word) => word === taskType))
      throw new TypeError(
        `${where}: taskType is ${describe(taskType)}, expected null or one of ${TASK_TYPES.join(', ')}`,
      );
    all.set('task_type', taskType);
  }
  if (baseModelNameOrPath !== undefined) {
    if (baseModelNameOrPath !== null) checkText(`${where}: baseModelNameOrPath`, baseModelNameOrPath);
    all.set('base_model_name_or_path', baseModelNameOrPath);
  }
  return all;
}

/** PEFT refuses a target that matches what cannot be adapted as well, such as a list of layers: the layers by their whole names. */
function exactTargets(config: ResolvedConfig, { layers }: AdapterPlan): ResolvedConfig {
  const names = layers.map(({ path }) => path);
  const pattern = names.map(escaped).join('|');
  const targetModules = pattern.length <= PATTERN_LIMIT ? pattern : names;
  return { ...config, targetModules, layersToTransform: null, layersPattern: null };
}

function exportFiles(
  config: ResolvedConfig,
  adapter: { readonly layers: readonly NamedFactors[]; readonly copies: readonly OwnCopy[] },
  { convert = true, allowNonFinite = false }: ExportOptions,
): AdapterFiles {
  const { layers } = adapter;
  const tensors = new Map<string, WritableTensor>();
  for (const { key, held } of adapterTensors(adapter, []))
    tensors.set(PEFT_PREFIX + key, { shape: held.shape, data: held.copyTo(new Float32Array(held.size)) });
  const ranks = new Map<NamedFactors, number>();
  for (const layer of layers) {
    const { changed, ranges, options } = layer.factors;
    const a = peftKey(layer.path, peftSlot(layer.kind, 'A'));
    const b = peftKey(layer.path, peftSlot(layer.kind, 'B'));
    if (convert && changed !== null) {
      withOriginal(layer, changed, tensors, a, b);
      ranks.set(layer, 2 * options.r);
    } else if (ranges !== null) {
      tensors.set(b, unfolded(layer, tensors.get(b)!));
      ranks.set(layer, ranges.length * options.r);
    }
  }
  if (!convert) checkPeftForm(config, layers);
  const written = withRanks(config, layers, ranks);
  const init = convert ? initToWrite(config, layers) : config.initLoraWeights;
  const form = { config: fieldsOf({ ...written, initLoraWeights: init }), tensors: [...tensors] };
  return writePeftForm(form, allowNonFinite);
}

/** PEFT's OLoRA decomposes a weight as it is stored, and cannot hold the factors of one stored [in, out] unless it is square. @throws AdapterError */
function checkPeftForm({ initLoraWeights }: ResolvedConfig, layers: readonly NamedFactors[]): void {
  const lost = layers.find(({ factors: { changed, A, B } }) => {
    const [out, width] = [B.shape[0], A.shape[1]];
    return changed !== null && out !== width && changed.weight.shape[0] === width;
  });
  if (initLoraWeights === 'olora' && lost !== undefined)
    throw new AdapterError(
      `LoraModel.exportAdapter: OLoRA of '${lost.path}', whose weight is stored [in, out], has no form of PEFT's, expected convert: true`,
    );
}

/** Plain where nothing is left that loading would have to take out of the base first. */
function initToWrite(
  { initLoraWeights: init }: ResolvedConfig,
  layers: readonly NamedFactors[],
): boolean | string {
  const pending = layers.some(({ kind, factors }) => kind === 'linear' && factors.changed === null);
  return changesBase(init) && !pending ? true : init;
}

/** [A; A₀] and [B, -B₀]: the change since the factors were taken out of the base. */
function withOriginal(
  { factors }: NamedFactors,
  { A0, B0 }: ChangedBase,
  tensors: Map<string, WritableTensor>,
  a: string,
  b: string,
): void {
  const [A, B] = [tensors.get(a)!.data as Float32Array, tensors.get(b)!.data as Float32Array];
  const [r, width] = factors.A.shape as [number, number];
  const out = factors.B.shape[0]!;
  const tall = new Float32Array(2 * A.length);
  tall.set(A);
  tall.set(A0, A.length);
  const wide = new Float32Array(2 * B.length);
  for (let i = 0; i < out; i++) {
    wide.set(B.subarray(i * r, (i + 1) * r), 2 * i * r);
    for (let j = 0; j < r; j++) wide[(2 * i + 1) * r + j] = -B0[i * r + j]!;
  }
  tensors.set(a, { shape: [2 * r, width], data: tall });
  tensors.set(b, { shape: [out, 2 * r], data: wide });
}

/** B of fused projections as one matrix over all outputs: each slice in columns of its own, zero elsewhere. */
function unfolded({ factors, outputs }: NamedFactors, B: WritableTensor): WritableTensor {
  const ranges = factors.ranges!;
  const r = factors.B.shape[1]!;
  const wide = ranges.length * r;
  const data = new Float32Array(outputs * wide);
  const from = B.data as Float32Array;
  let row = 0;
  for (const [i, range] of ranges.entries())
    for (let n = 0; n < range.size; n++, row++)
      data.set(from.subarray(row * r, (row + 1) * r), (range.from + n) * wide + i * r);
  return { shape: [outputs, wide], data };
}

/**
 * The config with the ranks that layers are written at, and alphas that keep their scalings: for the whole config where
 * every layer's rank grew by the same factor, else as patterns of their exact names before all others.
 */
function withRanks(
  config: ResolvedConfig,
  layers: readonly NamedFactors[],
  ranks: ReadonlyMap<NamedFactors, number>,
): ResolvedConfig {
  if (ranks.size === 0) return config;
  const factors = new Set(layers.map((layer) => (ranks.get(layer) ?? 0) / layer.factors.options.r));
  const [factor = 0] = factors;
  if (factors.size === 1) return multiplied(config, factor);
  const rankPattern = new Map<string, number>();
  const alphaPattern = new Map<string, number>();
  for (const [
    {
      path,
      factors: { options },
    },
    r,
  ] of ranks) {
    rankPattern.set(exactKey(path), r);
    alphaPattern.set(exactKey(path), options.loraAlpha * alphaFactor(config, r / options.r));
  }
  // First, since the first key that matches counts; a key that is there already keeps the new value.
  for (const [key, r] of config.rankPattern) if (!rankPattern.has(key)) rankPattern.set(key, r);
  for (const [key, alpha] of config.alphaPattern) if (!alphaPattern.has(key)) alphaPattern.set(key, alpha);
  return { ...config, rankPattern, alphaPattern };
}

function multiplied(config: ResolvedConfig, factor: number): ResolvedConfig {
  const times = (pattern: ReadonlyMap<string, number>, by: number): Map<string, number> =>
    new Map([...pattern].map(([key, value]) => [key, value * by]));
  const byAlpha = alphaFactor(config, factor);
  return {
    ...config,
    ...{ r: factor * config.r, loraAlpha: byAlpha * config.loraAlpha },
    ...{ rankPattern: times(config.rankPattern, factor), alphaPattern: times(config.alphaPattern, byAlpha) },
  };
}

/** What alpha is multiplied by so that the scaling stays where the rank is multiplied by `factor`. */
function alphaFactor({ useRslora }: ResolvedConfig, factor: number): number {
  return useRslora ? Math.sqrt(factor) : factor;
}

/** The fields that PEFT knows. */
function fieldsOf(config: ResolvedConfig): PeftConfig {
  const { fusedSlices: _, slices: __, otherFields = new Map(), modulesToSave, ...fields } = config;
  return { ...fields, modulesToSave: modulesToSave.length === 0 ? null : modulesToSave, otherFields };
}

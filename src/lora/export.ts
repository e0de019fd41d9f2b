/** An adapter as PEFT's two files. PiSSA and OLoRA are converted to a plain adapter of the original base, unless told otherwise. */
import type { PeftConfig } from '../formats/peft-config.js';
import { formatPeftConfig } from '../formats/peft-config-write.js';
import { PEFT_PREFIX } from '../formats/peft-keys.js';
import { exactKey } from '../formats/peft-patterns.js';
import { type WritableTensor, writeSafetensors } from '../formats/safetensors-write.js';
import { checkOptions } from '../runtime/errors.js';
import type { AdapterSet } from './adapter-set.js';
import type { ResolvedConfig } from './config.js';
import type { OwnCopy } from './copies.js';
import { adapterTensors, type NamedFactors } from './tensors.js';

/** PEFT's two files as bytes. */
export interface AdapterFiles {
  readonly 'adapter_config.json': Uint8Array<ArrayBuffer>;
  readonly 'adapter_model.safetensors': Uint8Array<ArrayBuffer>;
}

export interface ExportOptions {
  /** Turn PiSSA and OLoRA into an adapter of twice the rank that goes with the original base. Default true; false writes PEFT's own form, whose base must be changed on loading. */
  readonly convert?: boolean;
  /** Write NaN and infinity. Default false: they are an error. */
  readonly allowNonFinite?: boolean;
}

/** @throws AdapterError for an unknown name, FormatError when a weight is not finite */
export function exportAdapter(
  adapters: AdapterSet,
  name = adapters.active[0] ?? 'default',
  options: ExportOptions,
): AdapterFiles {
  const where = 'LoraModel.exportAdapter';
  checkOptions(where, options, ['convert', 'allowNonFinite']);
  const { config, fanInFanOut, layers, copies } = adapters.get(where, name);
  return exportFiles({ ...config, fanInFanOut }, layers, copies, options);
}

function exportFiles(
  config: ResolvedConfig,
  layers: readonly NamedFactors[],
  copies: readonly OwnCopy[],
  { convert = true, allowNonFinite = false }: ExportOptions,
): AdapterFiles {
  const doubled = convert && layers.some(({ factors }) => factors.changed !== null);
  const tensors = new Map<string, WritableTensor>();
  for (const { key, held } of adapterTensors({ layers, copies }, []))
    tensors.set(PEFT_PREFIX + key, {
      shape: held.shape,
      data: held.copyTo(new Float32Array(held.size)),
    });
  let written = config;
  for (const layer of layers) {
    const [a, b] = [`${PEFT_PREFIX}${layer.path}.lora_A.weight`, `${PEFT_PREFIX}${layer.path}.lora_B.weight`];
    if (doubled) withOriginal(layer, tensors, a, b);
    else if (layer.factors.ranges !== null) {
      tensors.set(b, unfolded(layer, tensors.get(b)!));
      written = withStrength(written, layer);
    }
  }
  return {
    'adapter_config.json': formatPeftConfig(fieldsOf(doubled ? doubledConfig(config) : written)),
    'adapter_model.safetensors': writeSafetensors(tensors, { allowNonFinite }),
  };
}

/** [A; A₀] and [B, -B₀]: the change since the factors were taken out of the base. */
function withOriginal(
  { factors }: NamedFactors,
  tensors: Map<string, WritableTensor>,
  a: string,
  b: string,
): void {
  if (factors.changed === null) return;
  const { A0, B0 } = factors.changed;
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

function doubledConfig(config: ResolvedConfig): ResolvedConfig {
  const factor = config.useRslora ? Math.SQRT2 : 2;
  const times = (pattern: ReadonlyMap<string, number>, by: number): Map<string, number> =>
    new Map([...pattern].map(([key, value]) => [key, value * by]));
  return {
    ...config,
    ...{ r: 2 * config.r, loraAlpha: factor * config.loraAlpha, initLoraWeights: true },
    ...{ rankPattern: times(config.rankPattern, 2), alphaPattern: times(config.alphaPattern, factor) },
  };
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

/** The rank of such a layer, and the alpha that keeps its scaling, as patterns of its own name before all others. */
function withStrength(config: ResolvedConfig, { path, factors }: NamedFactors): ResolvedConfig {
  const r = factors.ranges!.length * factors.options.r;
  const alpha = factors.scaling * (config.useRslora ? Math.sqrt(r) : r);
  const key = exactKey(path);
  return {
    ...config,
    rankPattern: new Map([[key, r], ...config.rankPattern]),
    alphaPattern: new Map([[key, alpha], ...config.alphaPattern]),
  };
}

/** The fields that PEFT knows. */
function fieldsOf(config: ResolvedConfig): PeftConfig {
  const { fusedSlices: _, slices: __, otherFields = new Map(), modulesToSave, ...fields } = config;
  return { ...fields, modulesToSave: modulesToSave.length === 0 ? null : modulesToSave, otherFields };
}

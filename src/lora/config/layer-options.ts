/** PEFT's options of one LoRA layer by their names in camelCase, checked and completed with PEFT's defaults. */
import { initWord } from '../../formats/peft-words.js';
import { checkBoolean, checkInteger, checkNumber, checkOptions, describe } from '../../values/checks.js';

/**
 * How A and B start: PEFT's default (`true`: A from U(±1/√in), B zero), `'gaussian'` (A from N(0, 1/r²), B zero), `false`
 * (both from U), `'orthogonal'` (both from orthogonal rows, r even), or from the base weight, which loses what they hold:
 * `'pissa'` (its r largest singular values), `'pissa_niter_4'` (the same by a randomised decomposition with that many
 * iterations) and `'olora'` (its QR decomposition). An embedding starts with A zero and B from N(0, 1). As in PEFT the case of
 * `'gaussian'` and `'olora'` does not matter; any other word is an error.
 */
export type InitLoraWeights =
  | boolean
  | 'gaussian'
  | 'orthogonal'
  | 'pissa'
  | `pissa_niter_${number}`
  | 'olora';

/** A linear layer whose outputs are several projections one above the other, such as q, k and v. */
export interface FusedSlices {
  /** Outputs of each slice, in order; their sum is the layer's `out`. */
  readonly sizes: readonly number[];
  /** Which of them are adapted; the others stay as they are, byte for byte. */
  readonly adapted: readonly boolean[];
}

/** Options of one LoRA layer. */
export interface LoraLayerOptions {
  /** Rank, from 1 up. Default 8. */
  readonly r?: number;
  /** Numerator of the scaling. Default 8, as PEFT's: not r. */
  readonly loraAlpha?: number;
  /** Probability with which an element of the LoRA input is dropped in training, 0 to 1. Default 0. */
  readonly loraDropout?: number;
  /** Scaling alpha/√r in place of alpha/r. Default false. */
  readonly useRslora?: boolean;
  /** Default true. */
  readonly initLoraWeights?: InitLoraWeights;
  /** DoRA: a trained magnitude for every output over the direction W + s·B·A. Default false. */
  readonly useDora?: boolean;
  /** A trained bias in B, scaled as the rest. Default false. */
  readonly loraBias?: boolean;
}

/** Options of one linear LoRA layer. */
export interface LoraLinearOptions extends LoraLayerOptions {
  /** The layer holds fused projections. Default null: one. */
  readonly slices?: FusedSlices | null;
}

/** A layer's options with the defaults filled in. A file may name initialisations that are never run here. */
export interface ResolvedLayerOptions extends Required<Omit<LoraLinearOptions, 'initLoraWeights'>> {
  readonly initLoraWeights: boolean | string;
}

/** Names of the options. */
export const LAYER_OPTIONS = [
  'r',
  'loraAlpha',
  'loraDropout',
  'useRslora',
  'initLoraWeights',
  'useDora',
  'loraBias',
] as const;

/** @throws TypeError, RangeError */
export function resolveLayerOptions(where: string, options: LoraLinearOptions): ResolvedLayerOptions {
  checkOptions(where, options, [...LAYER_OPTIONS, 'slices']);
  return completeLayerOptions(where, options);
}

/** The same for options that stand among others. @throws TypeError, RangeError */
export function completeLayerOptions(where: string, options: LoraLinearOptions): ResolvedLayerOptions {
  const { r = 8, loraAlpha = 8, loraDropout = 0, useRslora = false } = options;
  const initLoraWeights = checkInit(where, options.initLoraWeights ?? true);
  const { useDora = false, loraBias = false, slices = null } = options;
  checkInteger(`${where}: r`, r, 1, 2 ** 20);
  checkNumber(`${where}: loraAlpha`, loraAlpha, 0, Number.MAX_VALUE);
  checkNumber(`${where}: loraDropout`, loraDropout, 0, 1);
  checkBoolean(`${where}: useRslora`, useRslora);
  checkBoolean(`${where}: useDora`, useDora);
  checkBoolean(`${where}: loraBias`, loraBias);
  if (loraBias && (useDora || typeof initLoraWeights === 'string')) {
    const other = useDora ? 'useDora' : `initLoraWeights '${initLoraWeights}'`;
    throw new RangeError(`${where}: loraBias with ${other}, expected neither of PEFT's two exclusions`);
  }
  return {
    ...{ r, loraAlpha, loraDropout, useRslora, initLoraWeights, useDora, loraBias },
    slices: slices === null ? null : checkSlices(`${where}: slices`, slices),
  };
}

const CHOICES = "true, false, 'gaussian', 'orthogonal', 'pissa', 'pissa_niter_N' or 'olora'";
/** Initialisations of PEFT that need what this package does not have. */
const FOREIGN = new Map([
  ['eva', 'it needs activations of the data'],
  ['corda', 'it needs covariances of the data'],
  ['loftq', 'it needs a quantised base'],
  ['lora_ga', 'it needs gradients of the data'],
  ['mica', 'it freezes lora_B, which is not implemented'],
]);

/** The word in PEFT's spelling. @throws TypeError, RangeError */
function checkInit(where: string, init: unknown): boolean | string {
  if (typeof init === 'boolean') return init;
  const word = typeof init === 'string' ? initWord(init) : null;
  const why = word === null ? undefined : FOREIGN.get(word);
  if (word !== null && why === undefined) return word;
  const message = `${where}: initLoraWeights is ${describe(init)}${why === undefined ? '' : ` (${why})`}, expected ${CHOICES}`;
  throw typeof init === 'string' ? new RangeError(message) : new TypeError(message);
}

/** @throws TypeError, RangeError */
export function checkSlices(where: string, slices: unknown): FusedSlices {
  checkOptions(where, slices, ['sizes', 'adapted']);
  const { sizes, adapted } = slices as FusedSlices;
  if (!Array.isArray(sizes) || !Array.isArray(adapted) || sizes.length !== adapted.length)
    throw new TypeError(
      `${where}: sizes and adapted are ${describe(sizes)} and ${describe(adapted)}, expected arrays of one length`,
    );
  for (const size of sizes) checkInteger(`${where}: sizes`, size, 1, 2 ** 31 - 1);
  for (const flag of adapted) checkBoolean(`${where}: adapted`, flag);
  if (!adapted.includes(true)) throw new RangeError(`${where}: adapted has no true, expected at least one`);
  return { sizes: [...sizes], adapted: [...adapted] };
}

/** alpha/r, or alpha/√r with rsLoRA. */
export function scalingOf({
  r,
  loraAlpha,
  useRslora,
}: Pick<ResolvedLayerOptions, 'r' | 'loraAlpha' | 'useRslora'>): number {
  return loraAlpha / (useRslora ? Math.sqrt(r) : r);
}

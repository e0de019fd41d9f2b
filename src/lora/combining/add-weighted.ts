/** The checks and the bookkeeping of `LoraModel.addWeightedAdapter`; the arithmetic is `combine.ts`. */
import { exactKey } from '../../patterns/rules.js';
import type { Runtime } from '../../tensor/runtime.js';
import { checkInteger, checkNumber, checkOptions, describe } from '../../values/checks.js';
import type { Adapter } from '../attached/adapter.js';
import { addAdapter } from '../attached/add-adapter.js';
import type { Attachment } from '../attached/attachment.js';
import { resolveConfig } from '../config/config.js';
import { namesGiven } from '../config/names.js';
import { AdapterError } from '../errors.js';
import { strengthOf } from '../maths/factors.js';
import {
  COMBINATIONS,
  type CombinationType,
  type Combined,
  type CombineOptions,
  type CombinePart,
  combineFactors,
  isApproximated,
  isThinning,
} from './combine.js';

/** What `LoraModel.addWeightedAdapter` takes beside names and weights. */
export interface WeightedOptions {
  /** Name of the new adapter. Default `'combined'`. */
  readonly name?: string;
  /**
   * How, by PEFT's names. `'cat'` (the default here; PEFT's is `'svd'`): the exact weighted sum of the deltas, at the sum of
   * the ranks. `'svd'`: the best approximation of that sum at `svdRank`. `'linear'`: PEFT's formula at the same rank, which
   * sums the factors and not the deltas: √weight·A and √weight·B, so their product has cross terms and is not the weighted
   * sum. `'ties'`, `'dare_linear'`, `'dare_ties'`, `'magnitude_prune'`: the same on thinned factors. `'ties_svd'`,
   * `'dare_linear_svd'`, `'dare_ties_svd'`, `'magnitude_prune_svd'`: the same on thinned deltas, then as `'svd'`.
   */
  readonly combinationType?: CombinationType;
  /** For `'svd'` and its kin. Default the largest rank of the parts. */
  readonly svdRank?: number;
  /** For `'svd'` and its kin: clamps both factors to ± this quantile, 0 to 1, of their elements. Default none. */
  readonly svdClamp?: number;
  /** For all that thin out (ties, DARE, pruning): the part of the elements that stays, above 0 to 1. */
  readonly density?: number;
  /** For ties, alone and with DARE: whether the sign of the sum or of the count wins. Default `'total'`. */
  readonly majoritySignMethod?: 'total' | 'frequency';
}

/** @returns the new adapter's name @throws TypeError, RangeError, AdapterError; nothing is added then */
export function addCombined(
  attachment: Attachment,
  names: readonly string[],
  weights: readonly number[],
  options: WeightedOptions,
): string {
  const where = 'LoraModel.addWeightedAdapter';
  attachment.guard.checkAttached(where);
  // DARE's draws are taken back with the rest when there is no room for the sum.
  return attachment.runtime.attempt(() => combineAndAdd(where, attachment, names, weights, options));
}

function combineAndAdd(
  where: string,
  attachment: Attachment,
  names: readonly string[],
  weights: readonly number[],
  options: WeightedOptions,
): string {
  checkOptions(where, options, [
    ...['name', 'combinationType', 'svdRank', 'svdClamp', 'density', 'majoritySignMethod'],
  ]);
  const adapters = namesGiven(where, names).map((part) => attachment.adapters.get(where, part));
  const { name = 'combined', combinationType: kind = 'cat' } = options;
  const settings = check(where, attachment.runtime, adapters, weights, options);
  const paths = [...new Set(adapters.flatMap(({ plan }) => plan.layers.map(({ path }) => path)))];
  const results = new Map<string, Combined>();
  const slices = new Map<string, ReturnType<typeof slicesOf>>();
  for (const path of paths) {
    slices.set(path, slicesOf(where, path, adapters));
    results.set(path, combineLayer(where, path, kind, adapters, weights, settings));
  }
  const strengths = [...results].map(([path, { r }]) => [exactKey(path), r] as const);
  const base = resolveConfig(where, {
    ...{ r: settings.rank, loraAlpha: settings.rank, targetModules: paths },
    ...{ rankPattern: new Map(strengths), alphaPattern: new Map(strengths) },
    fanInFanOut: adapters[0]!.config.fanInFanOut,
  });
  const fusedSlices = new Map(
    [...slices].flatMap(([path, value]) => (value === null ? [] : [[path, value] as const])),
  );
  const { adapter, undo } = addAdapter(attachment, where, {
    name,
    config: { ...base, fusedSlices },
  });
  adapter.trainable = false;
  try {
    for (const { path, factors } of adapter.layers) {
      const result = results.get(path);
      factors.A.set(result?.A ?? new Float32Array(factors.A.size));
      factors.B.set(result?.B ?? new Float32Array(factors.B.size));
    }
  } catch (error) {
    undo();
    throw error;
  }
  return name;
}

function check(
  where: string,
  rt: Runtime,
  adapters: readonly Adapter[],
  weights: readonly number[],
  options: WeightedOptions,
): CombineOptions {
  const { combinationType: kind = 'cat', density, majoritySignMethod = 'total' } = options;
  if (!COMBINATIONS.includes(kind))
    throw new RangeError(
      `${where}: combinationType is ${describe(kind)}, expected one of ${COMBINATIONS.join(', ')}`,
    );
  if (!Array.isArray(weights) || weights.length !== adapters.length || weights.length === 0)
    throw new RangeError(
      `${where}: weights is ${Array.isArray(weights) ? `${weights.length} numbers` : describe(weights)}, expected one for each of ${adapters.length} adapters`,
    );
  for (const [i, weight] of weights.entries())
    checkNumber(`${where}: weights[${i}]`, weight, -Number.MAX_VALUE, Number.MAX_VALUE);
  for (const { name, config, copies, changedLayers } of adapters) {
    const what = config.useDora
      ? 'is DoRA'
      : config.loraBias
        ? 'has LoRA biases'
        : copies.length > 0
          ? 'carries trained biases or saved modules'
          : changedLayers.length > 0
            ? 'has a base of its own'
            : null;
    if (what !== null)
      throw new AdapterError(`${where}: adapter '${name}' ${what}, expected adapters of plain LoRA`);
  }
  if (isThinning(kind) && density === undefined)
    throw new TypeError(`${where}: density is undefined, expected a number above 0 to 1 for ${kind}`);
  if (density !== undefined) checkNumber(`${where}: density`, density, Number.MIN_VALUE, 1);
  if (majoritySignMethod !== 'total' && majoritySignMethod !== 'frequency')
    throw new TypeError(
      `${where}: majoritySignMethod is ${describe(majoritySignMethod)}, expected 'total' or 'frequency'`,
    );
  const ranks = adapters.flatMap(({ plan }) => plan.layers.map(({ options: { r } }) => r));
  const rank = options.svdRank ?? Math.max(...ranks);
  checkInteger(`${where}: svdRank`, rank, 1, 2 ** 20);
  if (options.svdClamp !== undefined) checkNumber(`${where}: svdClamp`, options.svdClamp, 0, 1);
  return {
    ...{ rank, density: density ?? 1, majoritySignMethod, clamp: options.svdClamp ?? null },
    random: (count) => {
      const drawn = rt.uniform([count], 0, 1);
      const values = drawn.toArray() as Float32Array;
      drawn.dispose();
      return values;
    },
  };
}

function combineLayer(
  where: string,
  path: string,
  kind: CombinationType,
  adapters: readonly Adapter[],
  weights: readonly number[],
  settings: CombineOptions,
): Combined {
  const parts: CombinePart[] = [];
  let sizes = { out: 0, width: 0, blocks: 1 };
  for (const [i, { layers }] of adapters.entries()) {
    const found = layers.find((layer) => layer.path === path);
    if (found === undefined) continue;
    const { A, B } = found.factors;
    const r = B.size / B.shape[0]!;
    sizes = { out: B.shape[0]!, width: A.size / A.shape[0]!, blocks: A.shape[0]! / r };
    const [a, b] = [A.toArray() as Float32Array, B.toArray() as Float32Array];
    parts.push({ A: a, B: b, r, scaling: strengthOf(found.factors), weight: weights[i]! });
  }
  if (isApproximated(kind) && sizes.blocks > 1)
    throw new AdapterError(
      `${where}: '${kind}' on '${path}' with groups or slices, expected another combinationType`,
    );
  const ranks = [...new Set(parts.map(({ r }) => r))];
  if (kind !== 'cat' && !isApproximated(kind) && ranks.length > 1)
    throw new AdapterError(
      `${where}: '${kind}' of ranks ${ranks.join(', ')} on '${path}', expected one rank; 'cat', 'svd' and its kin take any`,
    );
  const combined = combineFactors(kind, parts, sizes, settings);
  // A grouped convolution's r counts the ranks of all groups.
  const conv = adapters.some(({ layers }) =>
    layers.some((layer) => layer.path === path && layer.kind === 'conv2d'),
  );
  return conv ? { ...combined, r: combined.r * sizes.blocks } : combined;
}

/** The slices of fused projections, which all adapters of the layer must share; null for none. */
function slicesOf(where: string, path: string, adapters: readonly Adapter[]) {
  const all = adapters.flatMap(({ plan }) =>
    plan.layers.filter((layer) => layer.path === path).map(({ options: { slices } }) => slices),
  );
  if (new Set(all.map((slices) => JSON.stringify(slices))).size > 1)
    throw new AdapterError(`${where}: adapters differ in the slices of '${path}', expected the same`);
  return all[0] ?? null;
}

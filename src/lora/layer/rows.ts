/**
 * Rows of a batch that use adapters of their own, in one module: the rows of one adapter are computed together, with its
 * own biases and saved parameters in place. Called by `layer-forward.ts` for LoRA layers, by `row-names.ts` for the others.
 */
import { placeRows, selectRows } from '../../ops/rows.js';
import type { Tensor } from '../../tensor/tensor.js';
import { showShape } from '../../values/shape.js';
import type { OwnCopy } from '../attached/copies.js';
import { AdapterError } from '../errors.js';

/** The adapter of each row (`'__base__'` for none), and what adapters have copies of in this module, by adapter. */
export interface Rows {
  readonly names: readonly string[];
  readonly copies: ReadonlyMap<string, readonly OwnCopy[]>;
}

/**
 * @param x - its first dimension is a multiple of the rows
 * @param adapts - whether an adapter changes this module otherwise than by copies
 * @param compute - the module over the rows of one adapter, whose copies are in place; the originals are before and after
 * @throws AdapterError
 */
export function byRows(
  where: string,
  x: Tensor,
  { names, copies }: Rows,
  adapts: (name: string) => boolean,
  compute: (name: string, part: Tensor) => Tensor,
): Tensor {
  const { apart } = x.runtime.running;
  if (apart !== null)
    throw new AdapterError(
      `${where}: adapterNames inside ${apart}, which takes the rows apart, expected the same adapters for all rows`,
    );
  const n = x.shape[0] ?? 0;
  if (n === 0 || n % names.length !== 0)
    throw new AdapterError(
      `${where}: x is ${showShape(x.shape)} with ${names.length} adapterNames, expected a multiple of them as first dimension`,
    );
  const entries = new Map<string, number[]>();
  for (const [i, name] of names.entries()) {
    const key = copies.has(name) || adapts(name) ? name : '__base__';
    entries.set(key, [...(entries.get(key) ?? []), i]);
  }
  const one = (name: string, part: Tensor): Tensor => {
    const own = copies.get(name) ?? [];
    for (const copy of own) copy.slot.set(copy.own);
    try {
      return compute(name, part);
    } finally {
      for (const copy of own) copy.slot.set(copy.original);
    }
  };
  const groups = [...entries].map(([name, own]) => ({ name, indices: Int32Array.from(own) }));
  const [only, ...others] = groups;
  if (only !== undefined && others.length === 0) return one(only.name, x);
  return placeRows(
    groups.map(({ name, indices }) => one(name, selectRows(x, indices, names.length))),
    groups.map(({ indices }) => indices),
    names.length,
  );
}

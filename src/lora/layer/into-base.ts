/**
 * Values that move into a parameter of the base for good: what PiSSA or OLoRA left with an adapter merged into it, and modules
 * saved whole. All memory is taken first; a parameter that others hold, or whose type does not stay, gets one in its place.
 */
import { elementsOf } from '../../ops/expanded.js';
import { type Parameter, ParameterBlock } from '../../tensor/parameter.js';
import { isQuantised } from '../../values/dtypes.js';
import type { QuantisedMerge } from './merge-options.js';
import { type Values, valuesOf } from './merge-sum.js';
import { mergedType, requantise } from './quantised-merge.js';

/** Values that are ready to move: `commit` takes no memory; `cancel` gives back what was taken. */
export interface IntoBase {
  /** The parameter that has them then. */
  readonly parameter: Parameter;
  /** Whether it is to stand in the place of another one. */
  readonly replaces: boolean;
  /** Of a quantised parameter, the share of the change that is kept; null for others. */
  readonly survived: number | null;
  commit(): void;
  cancel(): void;
}

/**
 * @param shared - whether others hold the parameter and are to keep it as it is
 * @throws AdapterError, OutOfMemoryError; nothing is left behind then
 */
export function intoBase(
  where: string,
  target: Parameter,
  values: Values,
  shared: boolean,
  asked: QuantisedMerge | null,
): IntoBase {
  const { runtime, shape } = target;
  const { dtype: stored } = elementsOf(target);
  const { dtype, blocks: type } = mergedType(where, stored, asked);
  const blocks = type === null ? null : requantise(where, type, values, valuesOf(target));
  const replaces = shared || dtype !== target.dtype;
  const to = replaces ? new ParameterBlock(runtime, [shape], dtype).parameters[0]! : target;
  const write = (): void => {
    if (blocks === null) to.set(values);
    else to.writeBytes(blocks.bytes);
  };
  if (replaces) {
    to.requiresGrad = false;
    write();
  }
  return {
    ...{ parameter: to, replaces, survived: isQuantised(stored) ? (blocks?.survived ?? 1) : null },
    commit: () => {
      if (!replaces) write();
    },
    cancel: () => {
      if (replaces) to.block.dispose();
    },
  };
}

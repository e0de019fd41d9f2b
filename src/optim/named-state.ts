/**
 * An optimiser's state as named arrays: what a checkpoint holds of it, in PyTorch's words, under the names of the parameters.
 * Called by `base.ts`.
 */
import { Module } from '../nn/module.js';
import { entriesOf, type StateArray, type StateDict } from '../nn/state-dict.js';
import { countElements, readElements } from '../tensor/elements.js';
import type { Parameter } from '../tensor/parameter.js';
import { checkInteger, describe } from '../values/checks.js';
import { type DType, type Shape, sameShape, showShape, sizeOf } from '../values/shape.js';
import type { ParameterState, Slot } from './state.js';

/** Parameters with their names: a module, or pairs as its `namedParameters()` gives them. */
export type NamedParameters = Module | Iterable<readonly [string, Parameter]>;

/** Where an optimiser keeps what. */
export interface StateSources {
  readonly states: readonly ParameterState[];
  /** The name of each state array. */
  readonly moments: readonly string[];
}

/** The state of every parameter, in the order of the names. */
export interface NamedStates {
  readonly where: string;
  readonly moments: readonly string[];
  readonly entries: readonly { readonly name: string; readonly slot: Slot; readonly state: ParameterState }[];
}

/** @throws TypeError; RangeError for a parameter without a name, or a name for two */
export function namedStates(
  where: string,
  { states, moments }: StateSources,
  model: NamedParameters,
): NamedStates {
  const left = new Map<unknown, { slot: Slot; state: ParameterState }>();
  for (const state of states) for (const slot of state.slots) left.set(slot.parameter, { slot, state });
  const entries: { name: string; slot: Slot; state: ParameterState }[] = [];
  const seen = new Set<string>();
  for (const [name, parameter] of pairsOf(where, model)) {
    const found = left.get(parameter);
    if (found === undefined) continue;
    if (seen.has(name))
      throw new RangeError(`${where}: two parameters are named ${describe(name)}, expected a name for each`);
    seen.add(name);
    left.delete(parameter);
    entries.push({ name, ...found });
  }
  const [first] = left.values();
  if (first !== undefined)
    throw new RangeError(
      `${where}: a parameter ${showShape(first.slot.parameter.shape)} of the optimizer has no name, expected the model that it trains`,
    );
  return { where, moments, entries };
}

/** @throws TypeError */
function pairsOf(where: string, model: unknown): (readonly [string, unknown])[] {
  if (model instanceof Module) return model.namedParameters();
  if (model === null || typeof model !== 'object' || !(Symbol.iterator in model))
    throw new TypeError(
      `${where}: model is ${describe(model)}, expected a Module or pairs of names and Parameters`,
    );
  let pairs: unknown[];
  try {
    pairs = [...(model as Iterable<unknown>)];
  } catch (cause) {
    throw new TypeError(`${where}: model could not be gone through, expected a Module or pairs`, { cause });
  }
  return pairs.map((pair, i) => {
    if (!Array.isArray(pair) || typeof pair[0] !== 'string')
      throw new TypeError(`${where}: entry ${i} of model is ${describe(pair)}, expected [name, Parameter]`);
    return [pair[0], pair[1]] as const;
  });
}

/** Copies of all of it. */
export function exportStates({ moments, entries }: NamedStates): StateDict {
  const arrays = new Map<string, StateArray>();
  for (const { name, slot, state } of entries) {
    const { shape, size } = slot.parameter;
    const { engine } = state.runtime;
    for (const [i, pointer] of state.pointersOf(slot).entries()) {
      const data = engine.f32().slice(pointer / 4, pointer / 4 + size);
      arrays.set(`${name}.${moments[i]}`, { dtype: 'F32', shape, data });
    }
    arrays.set(`${name}.step`, { dtype: 'I32', shape: [], data: Int32Array.of(slot.steps) });
  }
  return arrays;
}

/** Checks all of `state`, then overwrites. @throws TypeError, RangeError */
export function importStates({ where, moments, entries }: NamedStates, state: unknown): void {
  const given = entriesOf(where, state);
  const known = new Set(entries.flatMap(({ name }) => [...moments, 'step'].map((part) => `${name}.${part}`)));
  const missing = [...known].filter((name) => !given.has(name));
  const unexpected = [...given.keys()].filter((name) => !known.has(name));
  if (missing.length + unexpected.length > 0)
    throw new RangeError(
      `${where}: missing ${describe(missing)}, unexpected ${describe(unexpected)}, expected the state of this optimizer`,
    );
  const plan = entries.map(({ name, slot, state }) => {
    const read = (part: string, shape: Shape, dtype: DType = 'f32') =>
      elementsOf(`${where}: ${name}.${part}`, given.get(`${name}.${part}`), shape, dtype);
    const [steps] = Array.from(read('step', [], 'i32'));
    return {
      ...{ slot, state },
      steps: checkInteger(`${where}: ${name}.step`, steps, 0, 2 ** 31 - 1),
      values: moments.map((moment) => read(moment, slot.parameter.shape)),
    };
  });
  for (const { slot, state, steps, values } of plan) {
    const memory = state.runtime.engine.f32();
    for (const [i, pointer] of state.pointersOf(slot).entries()) memory.set(values[i]!, pointer / 4);
    slot.steps = steps;
  }
}

/** An array's numbers, of this shape. @throws TypeError, RangeError */
function elementsOf(where: string, entry: unknown, expected: Shape, dtype: DType): ArrayLike<number> {
  if (entry === null || typeof entry !== 'object' || !('shape' in entry) || !('data' in entry))
    throw new TypeError(`${where} is ${describe(entry)}, expected { shape, data }`);
  const { shape, data } = entry;
  const count = countElements(where, 'data', data);
  if (!Array.isArray(shape) || !sameShape(shape, expected) || count !== sizeOf(expected))
    throw new RangeError(
      `${where} is ${describe(shape)} with ${count} elements, expected ${showShape(expected)}`,
    );
  return readElements(where, data, count, dtype);
}

/**
 * Module: a tree of layers with named parameters. Children are the Modules in own enumerable properties, and in arrays, Maps,
 * Sets and plain objects there, in order of definition; a layer that hides or renames its insides overrides `children` and
 * `ownParameters`.
 */

import { Parameter } from '../tensor/parameter.js';
import type { Tensor } from '../tensor/tensor.js';
import { describe } from '../values/checks.js';
import { COPY, THIS_COPY } from '../values/copy.js';
import { DISPOSE } from '../values/dispose.js';
import { placesIn } from './contents.js';
import type { MaskCounter } from './mask-counter.js';
import { type LoadResult, loadState, type NamedArray, type StateDict, stateOf } from './state-dict.js';

/** A child of a module: its name, and a way to put another in its place. */
export interface Child {
  readonly name: string;
  readonly module: Module;
  replace(module: Module): void;
}

/** @internal The property of a module that holds a parameter. */
export interface ParameterSlot {
  readonly name: string;
  get(): Parameter;
  set(parameter: Parameter): void;
}

/** A module from tensors to a tensor, as layers are. */
export interface Layer extends Module {
  forward(...inputs: Tensor[]): Tensor;
}

/**
 * What has parameters and a `forward`: the base of every layer and of your own models. Children and parameters are own
 * properties.
 */
export abstract class Module {
  #training = true;

  /** The output. A module takes what it needs (tensors, a cache, options by name) and gives what it has: its own `forward` says what. */
  abstract forward(...inputs: unknown[]): unknown;

  /**
   * The layer that turns what a language model computes into logits: `'all-linear'` leaves it out, as PEFT does. Null for what has
   * none; a model that has one overrides this.
   */
  get outputEmbeddings(): Module | null {
    return null;
  }

  /** Whether the layer is in training mode (dropout is on). */
  get training(): boolean {
    return this.#training;
  }

  /** @internal Direct children with their names. */
  *children(): Iterable<Child> {
    yield* childrenIn(this);
  }

  /** @internal Parameters of this module itself, with their names. */
  *ownParameters(): Iterable<[string, Parameter]> {
    for (const { name, value } of placesIn(this, isParameter)) yield [name, value];
  }

  /** @internal The places where this module holds its parameters, for an adapter that puts others there. */
  *parameterSlots(): Iterable<ParameterSlot> {
    for (const { name, get, put } of placesIn(this, isParameter))
      yield { name, get: () => get() as Parameter, set: put };
  }

  /**
   * Every module of the tree with its dotted name, this one first under `''`; a shared module appears once.
   * @throws TypeError, RangeError where a module has no name, or that of another
   */
  namedModules(): [string, Module][] {
    const found = new Map<string, Module>();
    this.#visit('', new Set(), (name, module) => {
      if (found.has(name)) throw sameName(this, 'modules', name);
      found.set(name, module);
    });
    return [...found];
  }

  /** Every parameter of the tree with its dotted name; a shared parameter appears once. @throws as `namedModules` */
  namedParameters(): [string, Parameter][] {
    return parametersOf(this, (parameter) => parameter);
  }

  /** Every parameter of the tree. */
  parameters(): Parameter[] {
    return this.namedParameters().map(([, parameter]) => parameter);
  }

  /** Copies of every parameter, by name; `writeSafetensors` takes them as they are, but for quantised ones. @throws Error after dispose */
  stateDict(): StateDict {
    return stateOf(`${this.constructor.name}.stateDict`, this.namedParameters());
  }

  /**
   * Overwrites parameters by name; their dtypes stay, and those of 16 bits round. Everything is checked before anything is changed.
   * @param state - arrays by name, in the parameter's shape: numbers, typed arrays, 64-bit integers that the dtype holds
   * exactly; a Uint16Array whose `dtype` is `'F16'` or `'BF16'` holds their bits, as `stateDict` gives them. A quantised
   * parameter takes the blocks of its own type alone
   * @param options - `strict` (default true) refuses missing and unexpected names
   * @returns the names that did not find each other
   * @throws TypeError, RangeError
   */
  loadStateDict(
    state: ReadonlyMap<string, NamedArray> | Readonly<Record<string, NamedArray>>,
    options: { readonly strict?: boolean } = {},
  ): LoadResult {
    return loadState(`${this.constructor.name}.loadStateDict`, this.namedParameters(), state, options);
  }

  /** @internal Where this module's own dropout masks stand; null for one that has none. */
  get masks(): MaskCounter | null {
    return null;
  }

  /** Switches the tree to training mode (or out of it). */
  train(mode = true): this {
    if (typeof mode !== 'boolean')
      throw new TypeError(`${this.constructor.name}.train: mode is ${describe(mode)}, expected a boolean`);
    for (const [, module] of this.namedModules()) module.#training = mode;
    return this;
  }

  /** @internal The mode of this module alone. */
  setMode(training: boolean): void {
    this.#training = training;
  }

  /** Switches the tree to evaluation mode. Never merges anything. */
  eval(): this {
    return this.train(false);
  }

  /** Gives the memory of every parameter back. */
  dispose(): void {
    for (const parameter of this.parameters()) parameter.block.dispose();
  }

  /** @internal */
  get [COPY](): object {
    return THIS_COPY;
  }

  /** The same as `dispose`, for `using`. */
  [DISPOSE](): void {
    this.dispose();
  }

  #visit(name: string, seen: Set<Module>, found: (name: string, module: Module) => void): void {
    if (seen.has(this)) return;
    seen.add(this);
    found(name, this);
    for (const child of this.children()) child.module.#visit(dotted(name, child.name), seen, found);
  }
}

/** @internal What `namedParameters` gives. @param meant - the parameter that counts where another stands for the time being */
export function parametersOf(
  root: Module,
  meant: (parameter: Parameter) => Parameter,
): [string, Parameter][] {
  const found = new Map<string, Parameter>();
  const seen = new Set<Parameter>();
  for (const [path, module] of root.namedModules()) {
    for (const [name, held] of module.ownParameters()) {
      const parameter = meant(held);
      if (seen.has(parameter)) continue;
      seen.add(parameter);
      const full = dotted(path, name);
      if (found.has(full)) throw sameName(root, 'parameters', full);
      found.set(full, parameter);
    }
  }
  return [...found];
}

function sameName(module: Module, what: string, name: string): RangeError {
  return new RangeError(
    `${module.constructor.name}: two ${what} are named '${name}', expected a name for each`,
  );
}

/** @internal The name of what is called `name` in the module at `path`. */
export function dotted(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

/** @internal The modules within an object, whatever its class: where each stands, named behind `prefix`. */
export function* childrenIn(owner: object, prefix = ''): Iterable<Child> {
  for (const { name, value, put } of placesIn(owner, isModule, prefix))
    yield { name, module: value, replace: put };
}

function isModule(value: unknown): value is Module {
  return value instanceof Module;
}

/** Modules have parameters of their own, which are not their owner's. */
function isParameter(value: unknown): value is Parameter {
  return value instanceof Parameter;
}

/** The adapters of one model by name, which of them are active, and whose copies of biases and modules stand in the model. */
import type { Parameter } from '../../tensor/parameter.js';
import { describe } from '../../values/checks.js';
import { AdapterError } from '../errors.js';
import { type Adapter, checkTogether } from './adapter.js';
import { type OwnCopy, putOriginals, putOwn } from './copies.js';

export class AdapterSet {
  readonly #adapters = new Map<string, Adapter>();
  #active: readonly string[] = [];
  /** Whether the active adapters' copies are out of the model now. */
  #out = false;

  get names(): string[] {
    return [...this.#adapters.keys()];
  }

  get all(): Adapter[] {
    return [...this.#adapters.values()];
  }

  get active(): readonly string[] {
    return this.#active;
  }

  /** @throws AdapterError naming the adapters there are */
  get(where: string, name: string): Adapter {
    const adapter = this.#adapters.get(name);
    if (adapter === undefined) {
      throw new AdapterError(
        `${where}: there is no adapter ${describe(name)}, expected one of ${this.names.join(', ') || 'none'}`,
      );
    }
    return adapter;
  }

  /** @throws TypeError, RangeError for a name that is none; AdapterError for one that is taken */
  checkNewName(where: string, name: string): void {
    checkAdapterName(where, name);
    if (this.#adapters.has(name))
      throw new AdapterError(`${where}: adapter '${name}' exists already, expected a new name`);
  }

  add(adapter: Adapter): void {
    this.#adapters.set(adapter.name, adapter);
  }

  /** Takes an adapter out of the model and gives its memory back. */
  remove(adapter: Adapter): void {
    if (this.#active.includes(adapter.name)) putOriginals(adapter.copies);
    this.#active = this.#active.filter((active) => active !== adapter.name);
    this.#adapters.delete(adapter.name);
    adapter.dispose();
  }

  /** Makes exactly these adapters trainable. @throws AdapterError */
  train(where: string, names: readonly string[]): void {
    for (const name of names) this.get(where, name);
    for (const adapter of this.all) adapter.trainable = names.includes(adapter.name);
  }

  /**
   * Makes exactly these adapters active. Checks everything before it changes anything.
   * @param merged - names that are merged now: they must stay active
   * @throws AdapterError
   */
  activate(where: string, names: readonly string[], merged: readonly string[]): void {
    const adapters = names.map((name) => this.get(where, name));
    if (new Set(names).size !== names.length)
      throw new AdapterError(`${where}: ${names.join(', ')} names an adapter twice, expected each once`);
    // What is merged takes part as well, also where it was merged in one layer alone and is not active.
    const all = [...new Set([...names, ...merged])].map((name) => this.get(where, name));
    checkTogether(where, all);
    const lost = merged.find((name) => this.#active.includes(name) && !names.includes(name));
    if (lost !== undefined)
      throw new AdapterError(
        `${where}: adapter '${lost}' is merged and would become inactive, expected unmerge() first`,
      );
    for (const adapter of [...adapters, ...this.#active.map((name) => this.get(where, name))])
      if (this.#active.includes(adapter.name) !== names.includes(adapter.name))
        this.checkChange(where, adapter, merged);
    putOriginals(this.activeCopies());
    this.#active = [...names];
    putOwn(this.activeCopies());
  }

  /**
   * Refuses that an adapter comes or goes whose own biases, saved modules or base have to change places meanwhile.
   * @param merged - names that are merged now
   * @throws AdapterError
   */
  checkChange(where: string, { name, copies, changedLayers }: Adapter, merged: readonly string[]): void {
    if (merged.length > 0 && copies.length + changedLayers.length > 0)
      throw new AdapterError(
        `${where}: adapter '${name}' has biases, saved modules or a base of its own, which cannot change places while '${merged[0]}' is merged; expected unmerge() first`,
      );
  }

  /** Copies that stand in the model now. */
  activeCopies(): OwnCopy[] {
    return this.#active.flatMap((name) => this.#adapters.get(name)?.copies ?? []);
  }

  /** Tells which parameter is the base's, where an active adapter's copy stands in its place. */
  originals(): (parameter: Parameter) => Parameter {
    const originals = new Map<Parameter, Parameter>();
    for (const { own, original } of this.activeCopies()) originals.set(own, original);
    return (parameter) => originals.get(parameter) ?? parameter;
  }

  /** Runs `fn` with the base's own biases and modules in place, and puts the active adapters' back, the outermost call alone. */
  withOriginals<T>(fn: () => T): T {
    if (this.#out) return fn();
    const active = this.activeCopies();
    putOriginals(active);
    this.#out = true;
    try {
      return fn();
    } finally {
      this.#out = false;
      putOwn(active);
    }
  }

  /** Takes every adapter out of the model. */
  clear(): void {
    for (const adapter of this.all) this.remove(adapter);
  }
}

/** Checks an adapter's name: it becomes part of parameter names and folder names. @throws TypeError, RangeError */
export function checkAdapterName(where: string, name: unknown): string {
  if (typeof name !== 'string')
    throw new TypeError(`${where}: the adapter's name is ${describe(name)}, expected a string`);
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(name) || name === '__base__') {
    throw new RangeError(
      `${where}: the adapter's name is ${describe(name)}, expected 1 to 64 of A-Z a-z 0-9 _ - and not __base__`,
    );
  }
  return name;
}

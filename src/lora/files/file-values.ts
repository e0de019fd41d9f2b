/**
 * The tensors of an adapter's file for an adapter that is to be: names and shapes are compared first, from the plan alone,
 * and copied once the adapter stands. Made by load-adapter.ts.
 */
import { firstOfCopy } from '../../formats/peft-keys.js';
import type { Module } from '../../nn/module.js';
import { type Shape, sameShape, showShape } from '../../values/shape.js';
import { AdapterError } from '../errors.js';
import type { AdapterTensor } from '../layer/tensors.js';
import { carriedBase } from './carried-base.js';

/** Named tensors: a safetensors file, or an adapter that a reader of `formats` has taken apart. */
export interface NamedTensors {
  readonly names: readonly string[];
  info(name: string): { readonly shape: Shape };
  /** The values as float32. @throws FormatError for values that are no numbers of that kind */
  f32(name: string): Float32Array;
}

export class FileValues {
  /** Keys of the adapter that the file has not. */
  readonly missing: string[] = [];
  /** Keys of the file that nothing took. */
  readonly unexpected: string[] = [];
  readonly #where: string;
  readonly #file: NamedTensors;
  readonly #prefix: string;
  readonly #strict: boolean;
  /** The file's name of each of the adapter's keys. */
  readonly #found = new Map<string, string>();

  /** @param prefix - what stands before the module names @param strict - whether missing and unexpected keys are an error */
  constructor(where: string, file: NamedTensors, prefix: string, strict: boolean) {
    this.#where = where;
    this.#file = file;
    this.#prefix = prefix;
    this.#strict = strict;
  }

  /**
   * Finds each tensor's place in the file; no value of the adapter is read.
   * @param model - the base alone: what else the file holds of it must be the same
   * @throws AdapterError when they do not fit
   */
  compare(tensors: readonly AdapterTensor<Shape>[], model: Module): void {
    const where = this.#where;
    const left = new Set(this.#file.names);
    for (const tensor of tensors) {
      const found = this.#take(tensor, left);
      if (found === undefined) this.missing.push(this.#prefix + tensor.key);
      else this.#found.set(tensor.key, found);
    }
    this.#passSecondCopies(left);
    const carried = carriedBase(this.#file, left, this.#prefix, model);
    for (const key of carried.same) left.delete(key);
    if (this.#strict && carried.different.length > 0)
      throw new AdapterError(
        `${where}: ${carried.different.join(', ')}, expected the base that the adapter was trained over; strict: false leaves such weights out`,
      );
    this.unexpected.push(...left);
    const lists = `missing [${this.missing.join(', ')}], unexpected [${this.unexpected.join(', ')}]`;
    if (this.#found.size === 0)
      throw new AdapterError(
        `${where}: nothing in the file applies to this model, expected keys that begin with '${this.#prefix}'; ${lists}`,
      );
    if (this.#strict && this.missing.length + this.unexpected.length > 0)
      throw new AdapterError(
        `${where}: ${lists}, expected the keys of this model; strict: false allows them`,
      );
  }

  /** Whether the file has every tensor of the layer at `path`, after `compare`. */
  fills(path: string): boolean {
    return !this.missing.some((key) => key.startsWith(`${this.#prefix}${path}.`));
  }

  /** Copies the file's values into the adapter, whose tensors `compare` has seen. @throws FormatError; nothing is copied then */
  fill(tensors: readonly AdapterTensor[]): void {
    const plan = tensors.flatMap(({ key, held }) => {
      const found = this.#found.get(key);
      return found === undefined ? [] : [{ held, values: this.#file.f32(found) }];
    });
    for (const { held, values } of plan) held.set(values);
  }

  /** @throws AdapterError where the shapes differ */
  #take({ key, aliases, held }: AdapterTensor<Shape>, left: Set<string>): string | undefined {
    const found = [key, ...aliases].map((name) => this.#prefix + name).find((name) => left.has(name));
    if (found === undefined) return undefined;
    left.delete(found);
    const { shape } = this.#file.info(found);
    if (!sameShape(shape, held))
      throw new AdapterError(`${this.#where}: ${found} is ${showShape(shape)}, expected ${showShape(held)}`);
    return found;
  }

  /** With `bias: "all"` PEFT writes the biases of saved modules a second time, as they stand in its wrapper: passed over, as PEFT does. */
  #passSecondCopies(left: Set<string>): void {
    for (const name of left) {
      const first = firstOfCopy(name);
      if (first !== null && this.#found.has(first.slice(this.#prefix.length))) left.delete(name);
    }
  }
}

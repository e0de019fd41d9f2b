/** What the readers of the formats share: tensors gathered into layers by their names, each factor once, and what belongs to a layer. */
import { FormatError } from '../values/format-error.js';
import { type ExtraTensor, type LoraArray, type LoraKind, type LoraModule, loraModule } from './lora-file.js';
import type { SafetensorsFile } from './safetensors-read.js';
import { alphaTensor, type Strength } from './strength.js';

/** The factors of a file's layers while it is read. */
export class FactorTable {
  readonly #where: string;
  readonly #layers = new Map<string, { A?: LoraArray; B?: LoraArray }>();

  constructor(where: string) {
    this.#where = where;
  }

  get paths(): string[] {
    return [...this.#layers.keys()];
  }

  has(path: string): boolean {
    return this.#layers.has(path);
  }

  /** @throws FormatError for a second tensor of one factor */
  add(path: string, half: 'A' | 'B', tensor: LoraArray): void {
    const layer = this.#layers.get(path) ?? {};
    if (layer[half] !== undefined)
      throw new FormatError(`${this.#where}: '${path}' has two tensors ${half}, expected one`);
    layer[half] = tensor;
    this.#layers.set(path, layer);
  }

  /** The layers, checked. @throws FormatError for half a pair and for shapes that are none of LoRA's */
  modules(
    kindOf: (path: string, A: LoraArray) => LoraKind,
    strength: (path: string, r: number, A: LoraArray) => Strength,
  ): LoraModule[] {
    return [...this.#layers].map(([path, { A, B }]) => {
      if (A === undefined || B === undefined)
        throw new FormatError(
          `${this.#where}: '${path}' has only ${A === undefined ? 'B' : 'A'}, expected A and B`,
        );
      return loraModule(this.#where, path, kindOf(path, A), { A, B }, (r) => strength(path, r, A));
    });
  }
}

/** Tensors that are none of a layer's maths, whatever stands before their last names. */
const APART = ['bias', 'saved', 'base'];

/**
 * Extras with the layer that each is part of: DoRA's magnitude, a middle factor, a bias of lora_B. Without one of them the
 * layer would be another.
 * @param skip - characters before the paths in the names
 */
export function withLayers(
  extras: readonly ExtraTensor[],
  paths: readonly string[],
  skip = 0,
): ExtraTensor[] {
  const layers = new Set(paths);
  return extras.map((extra) => {
    if (APART.includes(extra.kind)) return extra;
    for (
      let name = extra.name.slice(skip), end = name.lastIndexOf('.');
      end > 0;
      end = name.lastIndexOf('.')
    ) {
      name = name.slice(0, end);
      if (layers.has(name)) return { ...extra, layer: name };
    }
    return extra;
  });
}

/**
 * Alphas that stand beside the factors as `<layer>.alpha`, and the extras that are left.
 * @param given - alpha for layers without one of their own
 * @throws FormatError for what is no number, and for a given alpha where every layer has its own
 */
export function alphasBeside(
  where: string,
  file: SafetensorsFile,
  extras: readonly ExtraTensor[],
  paths: readonly string[],
  { skip = 0, given }: { readonly skip?: number; readonly given?: number | undefined } = {},
): { alphas: ReadonlyMap<string, number>; extras: ExtraTensor[] } {
  const layers = new Set(paths);
  const alphas = new Map<string, number>();
  const left = extras.filter(({ name }) => {
    if (!name.endsWith('.alpha')) return true;
    const alpha = alphaTensor(where, file, name);
    const path = name.slice(skip, -'.alpha'.length);
    if (layers.has(path)) alphas.set(path, alpha);
    return !layers.has(path);
  });
  if (given !== undefined && alphas.size > 0 && alphas.size === layers.size)
    throw new FormatError(`${where}: alpha ${given} was given, but the file has its own, expected none`);
  return { alphas, extras: left };
}

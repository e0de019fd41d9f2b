/**
 * An adapter as every format's reader gives it and every writer takes it: modules with their factors in PEFT's orientation,
 * and by name what else the file held. Readers build modules with `loraModule`, which checks the shapes.
 */
import type { ShapedArray } from '../values/arrays.js';
import { FormatError } from '../values/format-error.js';
import type { PeftConfig } from './peft-config.js';
import type { WritableTensor } from './safetensors-write.js';
import { checkStrength, type Strength } from './strength.js';

/** The programs whose adapters are read and written. */
export type AdapterFormat = 'peft' | 'mlx' | 'gguf' | 'kohya' | 'loralib';

/** What a module adapts. The change of the base weight is scale·B·A; an embedding's, stored [rows, dim], is its transpose. */
export type LoraKind = 'linear' | 'embedding' | 'conv2d';

/** Values with their shape, row-major. */
export type LoraArray = ShapedArray;

/** One adapted layer. */
export interface LoraModule {
  /** Dotted path in the model; a name of the format's own where that cannot be mapped to one. */
  readonly path: string;
  readonly kind: LoraKind;
  /** [r, in]; embedding [r, rows]; conv2d [r, in, kh, kw]. */
  readonly A: LoraArray;
  /** [out, r]; embedding [dim, r]; conv2d [out, r / groups, 1, 1]. */
  readonly B: LoraArray;
  readonly r: number;
  /** Null when neither the file nor the caller says. */
  readonly alpha: number | null;
  /** What B·A is multiplied by: alpha/r, or alpha/√r with rsLoRA. Null when alpha is. */
  readonly scale: number | null;
}

/**
 * Tensors beside the factors: DoRA's magnitude, the bias of lora_B, a base layer's bias, a layer saved whole, a frozen weight
 * of the base (PEFT saves those of adapted embeddings and heads), or something else.
 */
export type ExtraKind = 'magnitude' | 'lora_bias' | 'bias' | 'saved' | 'base' | 'unknown';

/** A tensor of an adapter file that is no factor of a LoRA pair. */
export interface ExtraTensor {
  /** The name in the file. */
  readonly name: string;
  readonly kind: ExtraKind;
  /** The path of the module whose maths it is part of; missing for what stands by itself. */
  readonly layer?: string;
  readonly tensor: WritableTensor;
}

/** A whole adapter. */
export interface LoraFile {
  readonly format: AdapterFormat;
  readonly modules: readonly LoraModule[];
  readonly extras: readonly ExtraTensor[];
  /** PEFT's config, when the adapter came with one. */
  readonly config: PeftConfig | null;
  /** What a user should know of the reading. */
  readonly warnings: readonly string[];
}

/** A module of checked shapes. @throws FormatError */
export function loraModule(
  where: string,
  path: string,
  kind: LoraKind,
  { A, B }: { readonly A: LoraArray; readonly B: LoraArray },
  strength: (r: number) => Strength,
): LoraModule {
  const got = `${where}: '${path}' has A [${A.shape.join(', ')}] and B [${B.shape.join(', ')}]`;
  const rank = kind === 'conv2d' ? 4 : 2;
  const [r = 0, columns = 0] = A.shape;
  const [rows = 0, width = 0] = B.shape;
  if (A.shape.length !== rank || B.shape.length !== rank)
    throw new FormatError(`${got}, expected ${rank} dimensions of a ${kind} layer`);
  if (Math.min(r, columns, rows, width) < 1) throw new FormatError(`${got}, expected no empty dimension`);
  if (kind === 'conv2d') {
    if (r % width !== 0 || rows % (r / width) !== 0 || B.shape[2] !== 1 || B.shape[3] !== 1)
      throw new FormatError(`${got}, expected A [r, in, h, w] and B [out, r / groups, 1, 1]`);
  } else if (r !== width) {
    throw new FormatError(`${got}, expected A [r, in] and B [out, r] of one rank`);
  }
  return { path, kind, A, B, r, ...checkStrength(where, path, strength(r)) };
}

/** The scale, for writers. @throws FormatError when it is unknown or no number */
export function scaleOf(where: string, module: LoraModule): number {
  const { scale } = checkStrength(where, module.path, module);
  if (scale === null)
    throw new FormatError(
      `${where}: the alpha of '${module.path}' is not in the file, expected it to be given`,
    );
  return scale;
}

/** Why a target cannot hold a module or an extra tensor; null when it can. */
export interface TargetRules {
  module(module: LoraModule): string | null;
  extra(extra: ExtraTensor): string | null;
}

/** The rule of targets that hold factors alone. A weight of the base is in the base: an adapter without it changes the same. */
export function factorsOnly({ kind }: ExtraTensor): string | null {
  return kind === 'base' ? null : `${kind}, no LoRA factor`;
}

/** What a target cannot hold: the names, and why. */
export interface NotHeld {
  /** By their paths: of another kind, or with a part that the target cannot hold and without which they would act otherwise. */
  readonly modules: ReadonlyMap<string, string>;
  readonly extras: ReadonlyMap<string, string>;
}

export function notHeld(file: LoraFile, rules: TargetRules): NotHeld {
  const modules = new Map<string, string>();
  const extras = new Map<string, string>();
  for (const extra of file.extras) {
    const why = rules.extra(extra);
    if (why === null) continue;
    if (extra.layer !== undefined) modules.set(extra.layer, `its ${extra.name} is part of it`);
    extras.set(extra.name, why);
  }
  for (const module of file.modules) {
    const why = rules.module(module);
    if (why !== null) modules.set(module.path, why);
  }
  return { modules, extras };
}

/** @throws FormatError naming everything that the target cannot hold, and when nothing is left to write */
export function checkHeld(where: string, file: LoraFile, rules: TargetRules): void {
  const { modules, extras } = notHeld(file, rules);
  const found = [...modules, ...extras].map(([name, why]) => `'${name}' (${why})`);
  if (found.length > 0)
    throw new FormatError(`${where}: the format cannot hold ${found.join(', ')}, expected plain factors`);
  if (file.modules.length === 0)
    throw new FormatError(`${where}: the adapter has no LoRA layer, expected at least one`);
}

/** Whether a path ends with a name that models give their token embeddings; files without layer kinds tell by nothing else. */
export function isEmbeddingName(path: string): boolean {
  return /(?:^|\.)(?:embed_tokens|word_embeddings|tok_embeddings|embeddings?|wte|token_embd)$/.test(path);
}

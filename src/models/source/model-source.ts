/** A model's weights where they lie, by transformers' names: what both kinds of source give and the loader reads. */
import type { GgufDType } from '../../formats/ggml-types.js';
import type { RandomAccess } from '../../formats/source.js';
import type { ModelConfig } from '../config.js';

/** A tensor in a file. */
export interface StoredTensor {
  /** What errors name: the call and the file. */
  readonly where: string;
  /** Its name in the file. */
  readonly label: string;
  readonly type: GgufDType;
  readonly shape: readonly number[];
  readonly file: RandomAccess;
  /** Bytes of the file. */
  readonly begin: number;
  readonly end: number;
  /** Heads whose rows lie in llama.cpp's order, rotary pairs side by side; 0 for rows in transformers' order. */
  readonly pairedHeads: number;
}

/** A model, opened: nothing of its weights is read yet. */
export interface ModelSource {
  /** What errors name: the call and the file or folder. */
  readonly where: string;
  /** What the files call a tensor of that name. */
  readonly labelOf: (name: string) => string;
  readonly config: ModelConfig;
  /** By transformers' names. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** GGUF's metadata, of which large arrays are dropped once they are read; null for a folder. */
  readonly metadata: Map<string, unknown> | null;
  /** A folder's text files that were there, by name. */
  readonly texts: ReadonlyMap<string, string>;
}

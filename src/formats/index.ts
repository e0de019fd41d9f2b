/** Formats: bytes to named arrays and back. Knows no Runtime. */

export type { ShapedArray } from '../values/arrays.js';
export type { BlockDType, QuantisedDType } from '../values/dtypes.js';
export { FormatError } from '../values/format-error.js';
export { type Converted, type ConvertOptions, convert } from './convert.js';
export { deltaNorm, deltaWeight, norm } from './delta.js';
export { dequantise } from './dequantise.js';
export type { Dtype, TypedArray } from './dtypes.js';
export type { GgufDType } from './ggml-types.js';
export { baseFromConfig, baseFromGguf, type GgufBase } from './gguf-base.js';
export { type GgufFile, type GgufTensor, openGguf } from './gguf-file.js';
export { type GgufOptions, readGguf, writeGguf } from './gguf-lora.js';
export type { Json, JsonNumber } from './json.js';
export { readKohya, writeKohya } from './kohya.js';
export { kohyaName } from './kohya-name.js';
export type {
  AdapterFormat,
  ExtraKind,
  ExtraTensor,
  LoraArray,
  LoraFile,
  LoraKind,
  LoraModule,
} from './lora-file.js';
export { readLoralib, writeLoralib } from './loralib.js';
export { type MlxFiles, type MlxOptions, readMlx, writeMlx } from './mlx.js';
export type { PeftConfig } from './peft-config.js';
export { parsePeftConfig } from './peft-config-read.js';
export { formatPeftConfig } from './peft-config-write.js';
export { PEFT_PREFIX, peftKey } from './peft-keys.js';
export type { PeftSource } from './peft-open.js';
export { type ReadOptions, readPeft } from './peft-read.js';
export { type LoraWriteOptions, type PeftFiles, writePeft } from './peft-write.js';
export { type QuantiseDType, quantise } from './quantise.js';
export { type AdapterBytes, detectFormat, readAdapter } from './read-adapter.js';
export { LazySafetensorsFile, openSafetensors } from './safetensors-open.js';
export { parseSafetensors, SafetensorsFile, type TensorInfo } from './safetensors-read.js';
export { type WritableTensor, type WriteOptions, writeSafetensors } from './safetensors-write.js';
export type { ByteSource, RandomAccess } from './source.js';

/**
 * The configuration of a language model of the Llama family, as both kinds of source give it. What a file says and this does not
 * understand refuses the model by name, where it would change the result.
 */
import { FormatError } from '../values/format-error.js';

/** The architectures, by transformers' model types. */
export type ModelType = 'llama' | 'mistral' | 'qwen2' | 'qwen3';

/** Sizes and options of a model; names after transformers' fields. */
export interface ModelConfig {
  readonly modelType: ModelType;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly maxPositionEmbeddings: number;
  readonly rmsNormEps: number;
  readonly tieWordEmbeddings: boolean;
  /** Biases of the query, key and value projections. */
  readonly qkvBias: boolean;
  /** Bias of the output projection of attention. */
  readonly outBias: boolean;
  readonly mlpBias: boolean;
  /** Norms of queries and keys, head by head (Qwen3). */
  readonly qkNorm: boolean;
  readonly rope: RopeConfig;
  /** Keys that a token sees at most, by layer; null for all before it. */
  readonly windows: readonly (number | null)[];
  /** Tokens that end a text, as the file names them. */
  readonly eosTokenIds: readonly number[];
}

/** Rotary positions. */
export interface RopeConfig {
  readonly theta: number;
  /** [headDim/2], each divides its frequency; null for ones. */
  readonly factors: Float32Array | null;
}

/** The fields that Llama 3's scaling is told by. */
export interface Llama3Scaling {
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  readonly originalLength: number;
}

/** Every frequency divided alike. */
export function linearFactors(headDim: number, factor: number): Float32Array {
  return new Float32Array(headDim / 2).fill(factor);
}

/** What Llama 3's scaling divides each frequency by: long waves by `factor`, short ones by 1, and between them by a mixture. */
export function llama3Factors(headDim: number, theta: number, scaling: Llama3Scaling): Float32Array {
  const { factor, lowFreqFactor, highFreqFactor, originalLength } = scaling;
  return Float32Array.from({ length: headDim / 2 }, (_, j) => {
    const waves = (originalLength * theta ** ((-2 * j) / headDim)) / (2 * Math.PI);
    if (waves < lowFreqFactor) return factor;
    if (waves > highFreqFactor) return 1;
    const smooth = (waves - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** Elements of a head, and blocks, at most: what is made of each is bounded by it, before it is compared with the tensors. */
export const LARGEST_HEAD = 65536;
export const MOST_BLOCKS = 10_000;

/** What a frequency is divided by at least: angles of the longest table stay below 2^20. */
const LEAST_FACTOR = 2 ** -7;

/** @throws FormatError unless the sizes fit together */
export function checkConfig(where: string, config: ModelConfig): ModelConfig {
  const { numAttentionHeads: heads, numKeyValueHeads: kv, headDim, numHiddenLayers } = config;
  if (heads % kv !== 0)
    throw new FormatError(
      `${where}: num_key_value_heads is ${kv}, expected a divisor of num_attention_heads, ${heads}`,
    );
  if (headDim % 2 !== 0) throw new FormatError(`${where}: head_dim is ${headDim}, expected an even number`);
  const { theta, factors } = config.rope;
  if (theta < 1) throw new FormatError(`${where}: rope_theta is ${theta}, expected 1 at least`);
  const divisor = factors?.find((factor) => !(factor >= LEAST_FACTOR && Number.isFinite(factor)));
  if (divisor !== undefined)
    throw new FormatError(
      `${where}: the scaling of rotary positions divides a frequency by ${divisor}, expected a finite number from ${LEAST_FACTOR} up`,
    );
  if (config.windows.length !== numHiddenLayers)
    throw new FormatError(
      `${where}: layer_types has ${config.windows.length} entries, expected ${numHiddenLayers}`,
    );
  const outside = config.eosTokenIds.find((id) => id >= config.vocabSize);
  if (outside !== undefined)
    throw new FormatError(
      `${where}: eos_token_id is ${outside}, expected less than vocab_size, ${config.vocabSize}`,
    );
  return config;
}

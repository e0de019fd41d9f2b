/**
 * Which tensors a model of a configuration has, compared with those of a source, and how each is held in memory: all of it before
 * anything is allocated or read. Called by `load-model.ts`.
 */
import { Allocator } from '../engine/allocator.js';
import type { GgufDType } from '../formats/ggml-types.js';
import { bytesOf, DTYPE_INFO, WEIGHT_DTYPES, type WeightDType } from '../values/dtypes.js';
import { FormatError, listed } from '../values/format-error.js';
import { sameShape, showShape } from '../values/shape.js';
import type { ModelConfig } from './config.js';
import type { ModelSource, StoredTensor } from './source/model-source.js';

/** What `loadModel` takes as `weights`. */
export type WeightsOption = 'stored' | 'f32' | 'f16' | 'bf16' | 'q8_0' | 'q4_0';

/** A tensor of the model: where it comes from and how it is held. */
export interface PlannedTensor {
  readonly shape: readonly number[];
  readonly stored: StoredTensor;
  readonly dtype: WeightDType;
}

/** Names and shapes of a model's tensors; what has two dimensions is a matrix that products read. */
export function tensorsOf(config: ModelConfig): Map<string, readonly number[]> {
  const { vocabSize, hiddenSize } = config;
  const found = new Map<string, readonly number[]>([['model.embed_tokens.weight', [vocabSize, hiddenSize]]]);
  for (let i = 0; i < config.numHiddenLayers; i++)
    for (const [name, shape] of layerTensors(config)) found.set(`model.layers.${i}.${name}`, shape);
  found.set('model.norm.weight', [hiddenSize]);
  if (!config.tieWordEmbeddings) found.set('lm_head.weight', [vocabSize, hiddenSize]);
  return found;
}

function* layerTensors(config: ModelConfig): Iterable<[string, readonly number[]]> {
  const { hiddenSize, intermediateSize, headDim, qkvBias, outBias, mlpBias } = config;
  const [width, kvWidth] = [config.numAttentionHeads * headDim, config.numKeyValueHeads * headDim];
  const linears = [
    ['self_attn.q_proj', width, hiddenSize, qkvBias],
    ['self_attn.k_proj', kvWidth, hiddenSize, qkvBias],
    ['self_attn.v_proj', kvWidth, hiddenSize, qkvBias],
    ['self_attn.o_proj', hiddenSize, width, outBias],
    ['mlp.gate_proj', intermediateSize, hiddenSize, mlpBias],
    ['mlp.up_proj', intermediateSize, hiddenSize, mlpBias],
    ['mlp.down_proj', hiddenSize, intermediateSize, mlpBias],
  ] as const;
  for (const [name, rows, columns, bias] of linears) {
    yield [`${name}.weight`, [rows, columns]];
    if (bias) yield [`${name}.bias`, [rows]];
  }
  for (const name of ['input_layernorm', 'post_attention_layernorm']) yield [`${name}.weight`, [hiddenSize]];
  if (config.qkNorm)
    for (const name of ['self_attn.q_norm', 'self_attn.k_norm']) yield [`${name}.weight`, [headDim]];
}

/** Every tensor of the model with what fills it. @throws FormatError for what is missing, misshapen or left over */
export function planTensors(
  { where, config, tensors, labelOf }: ModelSource,
  weights: WeightsOption,
): Map<string, PlannedTensor> {
  const left = new Set(tensors.keys());
  // Files of tied models may hold the one matrix twice.
  if (config.tieWordEmbeddings) left.delete('lm_head.weight');
  const planned = new Map<string, PlannedTensor>();
  for (const [name, shape] of tensorsOf(config)) {
    const stored = tensors.get(name);
    if (stored === undefined)
      throw new FormatError(`${where}: there is no tensor '${labelOf(name)}', expected one`);
    const what = `${stored.where}: tensor '${stored.label}'`;
    if (!sameShape(stored.shape, shape))
      throw new FormatError(`${what} is ${showShape(stored.shape)}, expected ${showShape(shape)}`);
    left.delete(name);
    const dtype = shape.length === 1 ? 'f32' : heldType(stored.type, weights);
    const { elements } = DTYPE_INFO[dtype];
    if (shape.at(-1)! % elements !== 0)
      throw new RangeError(
        `${what} has rows of ${shape.at(-1)}, expected whole blocks of ${elements} where weights is '${dtype}'`,
      );
    planned.set(name, { shape, stored, dtype });
  }
  if (left.size > 0)
    throw new FormatError(
      `${where}: tensors ${listed([...left].map((name) => tensors.get(name)!.label))} belong to nothing in the model, expected no others`,
    );
  return planned;
}

/** The type that a matrix is held in. */
function heldType(type: GgufDType, weights: WeightsOption): WeightDType {
  if (weights !== 'stored') return weights;
  // Types that no product reads are expanded.
  return WEIGHT_DTYPES.find((dtype) => dtype === type) ?? 'f32';
}

/** Bytes that the model takes, each tensor in a block of its own. */
export function plannedBytes(planned: ReadonlyMap<string, PlannedTensor>): number {
  let sum = 0;
  for (const { shape, dtype } of planned.values())
    sum += Allocator.roundUp(Math.ceil(bytesOf(shape, dtype) / 16) * 16);
  return sum;
}

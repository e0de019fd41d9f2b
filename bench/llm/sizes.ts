/** Sizes of a language model of the Llama family: the matrices of its layers, and the flops of a token. */
import type { ModelConfig } from 'lora-wasm/models';

export type ModelSizes = Pick<
  ModelConfig,
  | ('hiddenSize' | 'intermediateSize' | 'vocabSize' | 'numHiddenLayers')
  | ('numAttentionHeads' | 'numKeyValueHeads' | 'headDim')
>;

/** SmolLM2-135M. */
export const SMOLLM2: ModelSizes = {
  ...{ hiddenSize: 576, intermediateSize: 1536, vocabSize: 49152, numHiddenLayers: 30 },
  ...{ numAttentionHeads: 9, numKeyValueHeads: 3, headDim: 64 },
};
export const TINY: ModelSizes = {
  ...{ hiddenSize: 64, intermediateSize: 96, vocabSize: 160, numHiddenLayers: 2 },
  ...{ numAttentionHeads: 4, numKeyValueHeads: 2, headDim: 16 },
};

/** [N, K]: outputs and inputs of a matrix. */
export type Kind = readonly [N: number, K: number];

/** The seven matrices of a layer: of queries, keys, values, attention's output, gate, up, down. */
export function layerKinds(sizes: ModelSizes): readonly Kind[] {
  const { hiddenSize, intermediateSize, numAttentionHeads, numKeyValueHeads, headDim } = sizes;
  const [own, shared] = [numAttentionHeads * headDim, numKeyValueHeads * headDim];
  const reading: Kind[] = [own, shared, shared].map((N) => [N, hiddenSize]);
  const up: Kind = [intermediateSize, hiddenSize];
  return [...reading, [hiddenSize, own], up, up, [hiddenSize, intermediateSize]];
}

/** Which of them read what the first block is given, whose gradient nobody wants where adapters alone learn. */
const READING = 3;

const sumOf = (kinds: readonly Kind[], flops: (N: number, K: number) => number): number =>
  kinds.reduce((total, [N, K]) => total + flops(N, K), 0);
const product = (N: number, K: number): number => 2 * N * K;
/** A product of queries and keys for a token of T, of the half that the mask leaves, in all layers. */
const attentionProduct = ({ numHiddenLayers, numAttentionHeads, headDim }: ModelSizes, T: number): number =>
  numHiddenLayers * numAttentionHeads * headDim * (T + 1);

/**
 * Flops of a token in a step over T tokens, with adapters of rank r on all linear layers: of the blocks' matrices and of the head,
 * forward and back; of the adapters' factors, forward, their gradients, and that of the input; of attention, two products forward
 * and five back. SmolLM2, T = 256, r = 8: 424, 113, 15 and 31 million.
 */
export function stepFlops(sizes: ModelSizes, T: number, r: number) {
  const { numHiddenLayers: layers, vocabSize, hiddenSize } = sizes;
  const kinds = layerKinds(sizes);
  const unwanted = kinds.slice(0, READING);
  return {
    matrices: 2 * layers * sumOf(kinds, product) - sumOf(unwanted, product),
    head: 2 * product(vocabSize, hiddenSize),
    adapters: layers * sumOf(kinds, (N, K) => 6 * r * (N + K)) - sumOf(unwanted, (_, K) => 2 * r * K),
    attention: 7 * attentionProduct(sizes, T),
  };
}

/**
 * Flops of a token of a prompt: the layers' matrices and attention (the head runs once); and of one that is written: the matrices and
 * the head, as what it must at least do. SmolLM2: 0.221 and 0.269 GFLOP.
 */
export function textFlops(sizes: ModelSizes, prompt: number) {
  const matrices = sizes.numHiddenLayers * sumOf(layerKinds(sizes), product);
  return {
    prompt: matrices + 2 * attentionProduct(sizes, prompt),
    generation: matrices + product(sizes.vocabSize, sizes.hiddenSize),
  };
}

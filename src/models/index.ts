/** `lora-wasm/models`: language models of the Llama family over the layers of `lora-wasm`. Exports only. */

export { CausalLM, type DecoderStack } from './causal-lm.js';
export { type CausalLoss, type CausalLossOptions, causalLoss } from './causal-loss.js';
export type { ModelConfig, ModelType, RopeConfig } from './config.js';
export type { Attention, DecoderLayer, Mlp, RunContext } from './decoder-layer.js';
export { type GenerateOptions, generate } from './generate.js';
export { type GenerateTextOptions, generateText } from './generate-text.js';
export { KvCache } from './kv-cache.js';
export { type LanguageModel, type LoadModelOptions, loadModel, type ModelInput } from './load-model.js';
export { type LossRow, type MeanLoss, meanLoss } from './mean-loss.js';
export type { WeightsOption } from './plan.js';
export type { SamplingOptions } from './sampling.js';
export { type ChatMessage, ChatTemplate, type RenderOptions } from './text/chat-template.js';
export { TextStream } from './text/text-stream.js';
export { type DecodeOptions, type EncodeOptions, TextTokenizer } from './text/text-tokenizer.js';

/** `lora-wasm/models`: language models of the Llama family over the layers of `lora-wasm`. Exports only. */

export { CausalLM, type DecoderStack } from './causal-lm.js';
export type { ModelConfig, ModelType, RopeConfig } from './config.js';
export type { Attention, DecoderLayer, Mlp, RunContext } from './decoder-layer.js';
export { KvCache } from './kv-cache.js';
export { type LanguageModel, type LoadModelOptions, loadModel, type ModelInput } from './load-model.js';
export type { WeightsOption } from './plan.js';

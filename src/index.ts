/** The public surface of `lora-wasm`: exports only. */

export type { KernelBuild, KernelLevel } from './engine/abi.js';
export type { RuntimeOptions } from './engine/create-engine.js';
export type { RuntimeInfo } from './engine/engine.js';
export { OutOfMemoryError } from './engine/errors.js';
export type { ThreadsOption, WorkerLike, WorkerOption } from './engine/pool/threads.js';
export { WorkerError } from './engine/pool/worker-error.js';
export type { WasmOption, WasmSource } from './engine/wasm.js';
export { yieldToEvents } from './engine/yield.js';
export type { GroupOptions } from './lora/attached/groups.js';
export type { AdapterReport, LayerReport, LoraReport } from './lora/attached/report.js';
export type { ParameterSummary } from './lora/attached/summary.js';
export type { WeightedOptions } from './lora/combining/add-weighted.js';
export type { CombinationType } from './lora/combining/combine.js';
export type { LoraConfig } from './lora/config/config.js';
export type {
  FusedSlices,
  InitLoraWeights,
  LoraLayerOptions,
  LoraLinearOptions,
  ResolvedLayerOptions,
} from './lora/config/layer-options.js';
export { AdapterError } from './lora/errors.js';
export type { AdapterFiles, ExportOptions } from './lora/files/export-adapter.js';
export type { AdapterSource, LoadOptions, LoadReport } from './lora/files/load-adapter.js';
export type { AdaptationOptions, BaseLayer, LayerAdaptation, LayerKind } from './lora/kinds/adaptation.js';
export { type ConvLayer, conv2dAdaptation } from './lora/kinds/conv2d.js';
export { embeddingAdaptation, type LookupLayer } from './lora/kinds/embedding.js';
export { type LinearAdaptationOptions, linearAdaptation } from './lora/kinds/linear.js';
export { LoraLayer } from './lora/layer/lora-layer.js';
export type { MergedWeight, MergeOptions, QuantisedMerge } from './lora/layer/merge-options.js';
export { LoraConv2d, LoraEmbedding, type LoraLayersOf, LoraLinear } from './lora/layer/of-kind.js';
export { LoraModel } from './lora/lora-model.js';
export type { ChangedBase, LoraFactors } from './lora/maths/factors.js';
export { Conv2d, type Conv2dOptions } from './nn/conv2d.js';
export { Dropout } from './nn/dropout.js';
export {
  type DropoutPlace,
  type DropoutState,
  dropoutState,
  loadDropoutState,
} from './nn/dropout-state.js';
export { Embedding, type EmbeddingOptions } from './nn/embedding.js';
export { LayerNorm, type LayerNormOptions } from './nn/layer-norm.js';
export { Flatten, GELU, MaxPool2d, ReLU, Sequential, Sigmoid, Tanh } from './nn/layers.js';
export { Linear, type LinearOptions } from './nn/linear.js';
export { type Layer, Module } from './nn/module.js';
export { RMSNorm, type RMSNormOptions } from './nn/rms-norm.js';
export type { LoadResult, NamedArray, StateArray, StateDict } from './nn/state-dict.js';
export { type GeluOptions, gelu, sigmoid, tanh } from './ops/activations.js';
export { type AttentionOptions, causalAttention } from './ops/attention.js';
export { checkpoint } from './ops/checkpoint.js';
export type { Conv2dOperationOptions, Pair } from './ops/conv-sizes.js';
export { conv2d } from './ops/conv2d.js';
export {
  defineOperation,
  type NamedTensors,
  type OperationBackward,
  type OperationDefinition,
  type OperationResult,
} from './ops/define.js';
export { add, mul, relu, scale, sub } from './ops/elementwise.js';
export { type EmbeddingOperationOptions, embedding } from './ops/embedding.js';
export type { Indices } from './ops/indices.js';
export { layerNorm } from './ops/layer-norm.js';
export { type LinearOperationOptions, linear } from './ops/linear.js';
export {
  type LinearCrossEntropyOptions,
  type LogitsHead,
  linearCrossEntropy,
} from './ops/linear-cross-entropy.js';
export type { OutputRange } from './ops/linear-products.js';
export { type CrossEntropyOptions, crossEntropy, mseLoss, type Reduction } from './ops/loss.js';
export { type MaxPool2dOptions, maxPool2d } from './ops/max-pool2d.js';
export { argmax, type MeanOptions, mean, reshape, softmax, sum } from './ops/reduce.js';
export { rmsNorm } from './ops/rms-norm.js';
export { type RotaryOptions, type RotaryTable, rotaryTable, rotate } from './ops/rotary.js';
export { swiglu } from './ops/swiglu.js';
export type { Optimizer } from './optim/base.js';
export { clipGradNorm } from './optim/clip.js';
export type { NamedParameters } from './optim/named-state.js';
export { Adam, type AdamOptions, AdamW, SGD, type SGDOptions, type Trainables } from './optim/optimizer.js';
export { type Schedule, type ScheduleKind, schedule } from './optim/schedule.js';
export { createRuntime } from './tensor/create-runtime.js';
export type { ElementSource } from './tensor/elements.js';
export type { TensorOptions } from './tensor/make.js';
export type { MemoryUse } from './tensor/memory-use.js';
export type { Parameter, ParameterGroup } from './tensor/parameter.js';
export type { RandomState } from './tensor/random.js';
export type { Runtime } from './tensor/runtime.js';
export type { Tensor } from './tensor/tensor.js';
export type { QuantisedDType, WeightDType } from './values/dtypes.js';
export { FormatError } from './values/format-error.js';
export type { DType, Shape } from './values/shape.js';

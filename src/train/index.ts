/** `lora-wasm/train`: the Trainer, for any model, and rows of text for language models; exports only. */

export type { Batches, BatchSource } from './batches.js';
export { CheckpointError, TrainingError } from './errors.js';
export type {
  CheckpointEvent,
  EvalEvent,
  EvalRecord,
  StepEvent,
  StepRecord,
  TrainEnd,
  TrainEvent,
  TrainHistory,
  TrainResult,
} from './events.js';
export { type IndexedDbStoreOptions, indexedDbStore } from './indexed-db.js';
export type { BatchLoss, LossFunction } from './loss.js';
export type { EarlyStop, TrainerOptions } from './options.js';
export { joinRows, type PackedRow, packRows } from './pack-rows.js';
export type { RowForm } from './row-forms.js';
export { type ParseRowsOptions, parseRows, type TokenRow } from './rows.js';
export type { CheckpointFiles, CheckpointStore, StoredCheckpoint } from './store.js';
export { Trainer } from './trainer.js';

/** What the page and the worker say to each other. */
import type { AdapterFiles } from 'lora-wasm';

export type ToWorker =
  /** Images of 784 numbers each, and a label from 0 to 9 for each. */
  { images: Float32Array<ArrayBuffer>; labels: Int32Array<ArrayBuffer>; steps: number } | { stop: true };

export type FromWorker =
  | { threads: number; threadsReason: string }
  | { step: number; loss: number }
  /** At the end, and after a stop: PEFT's two files. */
  | { files: AdapterFiles };

/** Trains in a worker of the page, where threads come by themselves, and posts what came out. */
import { createRuntime } from 'lora-wasm';
import { train, type WorkerReport } from './train.js';

const rt = await createRuntime({ kernels: 'simd', seed: 9 });
const { threads, threadsReason } = rt.info();
const report: WorkerReport = { ...train(rt), threads, threadsReason };
rt.dispose();
globalThis.postMessage(report);

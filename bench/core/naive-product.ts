/** The two baselines: three loops in plain TypeScript, and the same in a naive WebAssembly module over its own memory. */
import type { Prepared, Problem } from './problem.js';

type Product = Omit<Problem, 'r' | 'low' | 'target'>;

/** A product y = x·Wᵀ + bias over operands in its own memory. */
interface BaselineProduct extends Prepared {
  run(): void;
  /** Copies x in, where it is not used in place. */
  setX?(): void;
  read(): { y: Float32Array };
}

export function plainProduct({ M, N, K, x, w, bias }: Product): BaselineProduct {
  const y = new Float32Array(M * N);
  const run = (): void => {
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += x[m * K + k]! * w[n * K + k]!;
        y[m * N + n] = sum + bias[n]!;
      }
    }
  };
  return { run, read: () => ({ y }), dispose: () => {} };
}

interface NaiveExports {
  readonly memory: WebAssembly.Memory;
  heapBase(): number;
  forward(M: number, N: number, K: number, x: number, w: number, bias: number, y: number): void;
}

/** In a fresh instance of the module. */
export function naiveProduct(module: WebAssembly.Module, { M, N, K, x, w, bias }: Product): BaselineProduct {
  const abort = (): never => {
    throw new Error('naive.wasm: abort');
  };
  const exports = new WebAssembly.Instance(module, { env: { abort } }).exports as unknown as NaiveExports;
  const { memory } = exports;
  const xAt = Math.ceil((exports.heapBase() >>> 0) / 64) * 64;
  const wAt = xAt + 4 * M * K;
  const biasAt = wAt + 4 * N * K;
  const yAt = biasAt + 4 * N;
  const missing = yAt + 4 * M * N - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 65536));
  const setX = (): void => new Float32Array(memory.buffer, xAt, M * K).set(x);
  setX();
  new Float32Array(memory.buffer, wAt, N * K).set(w);
  new Float32Array(memory.buffer, biasAt, N).set(bias);
  const y = new Float32Array(M * N);
  const read = (): { y: Float32Array } => {
    y.set(new Float32Array(memory.buffer, yAt, M * N));
    return { y };
  };
  return {
    setX,
    run: () => exports.forward(M, N, K, xAt, wAt, biasAt, yAt),
    read,
    dispose: () => {},
  };
}

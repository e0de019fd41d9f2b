/** The loops of the two baselines: in plain TypeScript, and the naive WebAssembly module's over operands in its own memory. */

/** y[M,N] = x[M,K]·Wᵀ + bias, W [N,K], in plain TypeScript. */
export function plainForward(
  M: number,
  N: number,
  K: number,
  x: Float32Array,
  w: Float32Array,
  bias: Float32Array,
  y: Float32Array,
): void {
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += x[m * K + k]! * w[n * K + k]!;
      y[m * N + n] = sum + bias[n]!;
    }
  }
}

/** One product of fixed sizes in the naive WebAssembly module, its operands in the module's own memory. */
export interface NaiveProduct {
  /** Copies x in. */
  setX(x: Float32Array): void;
  run(): void;
  /** Copies y out. */
  getY(y: Float32Array): void;
}

interface NaiveExports {
  readonly memory: WebAssembly.Memory;
  heapBase(): number;
  forward(M: number, N: number, K: number, x: number, w: number, bias: number, y: number): void;
}

/** Places w and bias in a fresh instance and gives the product over them. */
export function naiveProduct(
  module: WebAssembly.Module,
  M: number,
  N: number,
  K: number,
  w: Float32Array,
  bias: Float32Array,
): NaiveProduct {
  const abort = (): never => {
    throw new Error('naive.wasm: abort');
  };
  const exports = new WebAssembly.Instance(module, { env: { abort } }).exports as unknown as NaiveExports;
  const x = Math.ceil((exports.heapBase() >>> 0) / 64) * 64;
  const wAt = x + 4 * M * K;
  const biasAt = wAt + 4 * N * K;
  const y = biasAt + 4 * N;
  const missing = y + 4 * M * N - exports.memory.buffer.byteLength;
  if (missing > 0) exports.memory.grow(Math.ceil(missing / 65536));
  new Float32Array(exports.memory.buffer, wAt, N * K).set(w);
  new Float32Array(exports.memory.buffer, biasAt, N).set(bias);
  return {
    setX: (data) => new Float32Array(exports.memory.buffer, x, M * K).set(data),
    run: () => exports.forward(M, N, K, x, wAt, biasAt, y),
    getY: (target) => target.set(new Float32Array(exports.memory.buffer, y, M * N)),
  };
}

// The naive WebAssembly product of the benchmark: three scalar loops, as a first attempt would write them. Not in the package.

/** y[M,N] = x[M,K]·Wᵀ + bias; row-major f32, W is [N,K], bias is [N]; all sizes from 1 up. */
export function forward(M: i32, N: i32, K: i32, x: usize, w: usize, bias: usize, y: usize): void {
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      let sum: f32 = 0;
      for (let k = 0; k < K; k++) {
        sum += load<f32>(x + (<usize>(m * K + k) << 2)) * load<f32>(w + (<usize>(n * K + k) << 2));
      }
      store<f32>(y + (<usize>(m * N + n) << 2), sum + load<f32>(bias + (<usize>n << 2)));
    }
  }
}

/** First free byte of linear memory. */
export function heapBase(): usize {
  return __heap_base;
}

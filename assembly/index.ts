// The whole ABI, grouped by family; src/engine/abi/ says what each call takes. Kernels are pure functions of pointers and sizes.
export * from './matmul';
export * from './lora';
export * from './nn';
export * from './optim';
export * from './random';
export * from './transformer';

/** First free byte of linear memory: the host's allocator starts here. */
export function heapBase(): usize {
  return __heap_base;
}

/** SIMD level of this build: 0 simd, 1 relaxed-simd. */
export function simdLevel(): i32 {
  return ASC_FEATURE_RELAXED_SIMD ? 1 : 0;
}

/** What the engine can run, asked by tiny modules. The build puts them into this file; `engine/wasm.ts` calls them. */
export { relaxedSimd, simd } from 'wasm-feature-detect';

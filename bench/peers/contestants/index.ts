/**
 * Who takes part, in Node and in a page, by their labels. What lies in this folder is checked over the peers' own types, where
 * they are installed: `npm run typecheck --prefix bench/peers`.
 */
import type { Contestants } from '../peer.js';

export const CONTESTANTS: Contestants = {
  'lora-wasm': async () => (await import('../loops.js')).loadOwn,
  'onnxruntime-web': async () => (await import('./onnx.js')).loadOnnx,
  '@tensorflow/tfjs': async () => (await import('./tfjs.js')).loadTfjs,
  '@tensorflow/tfjs (custom gradient)': async () => (await import('./tfjs-custom.js')).loadTfjsCustom,
  '@jax-js/jax': async () => (await import('./jax.js')).loadJax,
  '@genai-fi/nanogpt': async () => (await import('./nanogpt.js')).loadNanogpt,
  'plain TypeScript': async () => (await import('../loops.js')).loadPlainTypeScript,
  'naive WASM': async () => (await import('../loops.js')).loadNaiveWasm,
};

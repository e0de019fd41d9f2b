/** Who takes part; each is imported when it is asked for, so that a missing package hurts nobody else. */
import { labelOf, PACKAGE } from '../core/records.js';
import { CUSTOM_GRADIENT, type Loader } from './peer.js';

/** Native, and started from Node alone: node-host.ts adds it. */
export const PYTORCH = 'pytorch+peft';

export type Contestants = Readonly<Record<string, () => Promise<Loader>>>;

/** Those that run in Node and in a page, by their labels. */
export const CONTESTANTS: Contestants = {
  [PACKAGE]: async () => (await import('./loops.js')).loadOwn,
  'onnxruntime-web': async () => (await import('./onnx.js')).loadOnnx,
  '@tensorflow/tfjs': async () => (await import('./tfjs.js')).loadTfjs,
  [labelOf({ contestant: '@tensorflow/tfjs', variant: CUSTOM_GRADIENT })]: async () =>
    (await import('./tfjs-custom.js')).loadTfjsCustom,
  '@jax-js/jax': async () => (await import('./jax.js')).loadJax,
  '@genai-fi/nanogpt': async () => (await import('./nanogpt.js')).loadNanogpt,
  'plain TypeScript': async () => (await import('./loops.js')).loadPlainTypeScript,
  'naive WASM': async () => (await import('./loops.js')).loadNaiveWasm,
};

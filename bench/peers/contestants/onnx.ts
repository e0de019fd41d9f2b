/** onnxruntime-web on its WebAssembly backend. x is copied in and y out at every call: it keeps no tensor in its memory. */

import type { Loader, Peer } from '../peer.js';
import { linearModel } from './onnx-model.js';

const INFERENCE_ONLY = 'onnxruntime-web runs finished models and has no backward';

export const loadOnnx: Loader = async ({ threads, filesOf }): Promise<Peer> => {
  // The package's main entry has a file for Node, with threads; in a page it brings backends that are not measured.
  const page = typeof document !== 'undefined';
  const ort = page ? await import('onnxruntime-web/wasm') : await import('onnxruntime-web');
  ort.env.logLevel = 'error';
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.proxy = false;
  if (page) ort.env.wasm.wasmPaths = filesOf('onnxruntime-web');
  const session = { executionProviders: ['wasm'], graphOptimizationLevel: 'all' } as const;
  return {
    name: 'onnxruntime-web',
    version: ort.env.versions.web ?? ort.env.versions.common,
    settings:
      'wasm backend with SIMD, every graph optimisation, Gemm over constant W, packed once; copies included',
    kernels: 'own',
    threads,
    lacks: { 'LoRA training step': INFERENCE_ONLY },
    prepare: async (operation, problem) => {
      const model = linearModel(problem, operation === 'LoRA forward');
      const run = await ort.InferenceSession.create(model, session);
      const x = new ort.Tensor('float32', problem.x, [problem.M, problem.K]);
      let y: Float32Array | null = null;
      return {
        run: async () => {
          y = (await run.run({ x })).y!.data as Float32Array;
        },
        read: () => ({ y: y! }),
        dispose: () => void run.release(),
      };
    },
  };
};

/** This package, and the loops that people write first, in plain TypeScript and in scalar WebAssembly: a forward product alone. */
import { naiveProduct, plainForward } from '../core/naive-product.js';
import { prepareOwn, runtimeOf } from '../core/own.js';
import type { Operation } from '../core/problem.js';
import { PACKAGE } from '../core/records.js';
import type { Loader, Peer } from './peer.js';

export const loadOwn: Loader = async ({ threads }): Promise<Peer> => {
  const rt = await runtimeOf({ threads });
  const { kernels } = rt.info();
  return {
    ...{ name: PACKAGE, version: '', settings: `${kernels} kernels, AdamW`, kernels, threads, lacks: {} },
    prepare: (operation, problem) => prepareOwn(rt, operation, problem),
  };
};

const PRODUCT_ONLY = 'the baselines have a forward product only';
const LACKS: Partial<Record<Operation, string>> = {
  'LoRA forward': PRODUCT_ONLY,
  'LoRA training step': PRODUCT_ONLY,
};

const oneThread = (threads: number): void => {
  if (threads > 1) throw new Error('the baselines run on one thread');
};

export const loadPlainTypeScript: Loader = async ({ threads }): Promise<Peer> => {
  oneThread(threads);
  return {
    name: 'plain TypeScript',
    version: '',
    settings: 'three loops over Float32Array',
    kernels: 'none',
    threads,
    lacks: LACKS,
    prepare: (_operation, { M, N, K, x, w, bias }) => {
      const y = new Float32Array(M * N);
      return { run: () => plainForward(M, N, K, x, w, bias, y), read: () => ({ y }), dispose: () => {} };
    },
  };
};

export const loadNaiveWasm: Loader = async ({ threads, naive }): Promise<Peer> => {
  oneThread(threads);
  return {
    name: 'naive WASM',
    version: '',
    settings: 'the same loops in AssemblyScript, scalar',
    kernels: 'none',
    threads,
    lacks: LACKS,
    prepare: (_operation, { M, N, K, x, w, bias }) => {
      const product = naiveProduct(naive, M, N, K, w, bias);
      product.setX(x);
      const read = (): { y: Float32Array } => {
        const y = new Float32Array(M * N);
        product.getY(y);
        return { y };
      };
      return { run: product.run, read, dispose: () => {} };
    },
  };
};

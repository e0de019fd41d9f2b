/** This package, and the loops that people write first, in plain TypeScript and in scalar WebAssembly: a forward product alone. */
import { naiveProduct, plainProduct } from '../core/naive-product.js';
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

/** A baseline on its one thread. */
function baseline(name: string, settings: string, threads: number, prepare: Peer['prepare']): Peer {
  if (threads > 1) throw new Error('the baselines run on one thread');
  return { name, version: '', settings, kernels: 'none', threads, lacks: LACKS, prepare };
}

export const loadPlainTypeScript: Loader = async ({ threads }) =>
  baseline('plain TypeScript', 'three loops over Float32Array', threads, (_, problem) =>
    plainProduct(problem),
  );

export const loadNaiveWasm: Loader = async ({ threads, naive }) =>
  baseline('naive WASM', 'the same loops in AssemblyScript, scalar', threads, (_, problem) =>
    naiveProduct(naive, problem),
  );

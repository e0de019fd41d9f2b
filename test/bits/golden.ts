/** Bits of everything that the golden cases compare: outputs, gradients, steps, merged outputs, in the `simd` build. */
import { createRuntime, type Runtime } from 'lora-wasm';
import { OPTIMIZERS, PEFT } from '../golden-support/cases.js';
import { watching } from '../golden-support/compare.js';
import { checkCrossEntropy, checkOptimizer } from '../golden-support/core.js';
import { checkPeftCase } from '../golden-support/peft.js';
import { Bits } from './hash.js';

export async function goldenBits(): Promise<Record<string, string>> {
  const all: Record<string, string> = {};
  for (const name of OPTIMIZERS) all[`core/${name}`] = await bitsOf((rt) => checkOptimizer(rt, name));
  all['core/xent'] = await bitsOf(checkCrossEntropy);
  for (const name of PEFT) all[`peft/${name}`] = await bitsOf((rt) => checkPeftCase(rt, name));
  return all;
}

async function bitsOf(check: (rt: Runtime) => void | Promise<void>): Promise<string> {
  const rt = await createRuntime({ kernels: 'simd', threads: 1 });
  const bits = new Bits();
  try {
    await watching(
      (got) => bits.add(got),
      () => check(rt),
    );
  } finally {
    rt.dispose();
  }
  return bits.end();
}

/** An environment of a suite over two runtimes, and kernels that can be switched off. */
import type { Runtime } from 'lora-wasm';
import { compiled } from '../../bench/core/compile.js';
import { Yardstick } from '../../bench/core/peak.js';
import { SharedCeiling } from '../../bench/core/shared-ceiling.js';
import type { Environment } from '../../bench/suite.js';

/** Puts switches before a runtime's kernels. Off, they do nothing, save those that only tell sizes. */
export function switchKernels({ engine }: Runtime): { off: () => void; on: () => void } {
  let works = true;
  const switched = Object.entries(engine.kernels).map(([name, kernel]) => [
    name,
    /Scratch|^simdLevel$|^heapBase$/.test(name)
      ? kernel
      : (...args: number[]): unknown => (works ? kernel(...args) : undefined),
  ]);
  Object.defineProperty(engine, 'kernels', { value: Object.fromEntries(switched), configurable: true });
  return {
    off: () => {
      works = false;
    },
    on: () => {
      works = true;
    },
  };
}

/** Quick. The ceiling is that of one thread, whatever is asked. */
export async function environmentOf(rt: Runtime, more: Runtime, part: RegExp): Promise<Environment> {
  const loops = await WebAssembly.compile(await compiled('ceiling'));
  const yardstick = new Yardstick(loops);
  return {
    ...{ rt, runtimeOf: async () => more, quick: true, threads: 2, ceiling: 1, progress: () => {} },
    ...{ ceilings: { fused: 1, plain: 1, readGBs: 1 }, wanted: (title) => part.test(title) },
    ...{
      yardstick,
      naive: await WebAssembly.compile(await compiled('naive')),
      model: null,
      peakResident: null,
    },
    ceilingOf: () => SharedCeiling.start(loops, yardstick, 1, () => () => {}),
  };
}

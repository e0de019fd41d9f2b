/**
 * What a package that holds one kernel build does otherwise than one that holds all. Only `lora-wasm/inline` and its kin do:
 * their `packaged.js` calls `oneBuild`, and every other bundle leaves this file out.
 */
import { relaxedSimd } from '../vendor/feature-detect.js';
import type { KernelBuild, KernelLevel } from './abi.js';
import { noRelaxedSimd } from './kernel-file.js';

/** A level, and why it. */
export interface Choice {
  readonly build: KernelLevel;
  readonly reason: string;
}

/** The one build that a package holds. */
export interface OneBuild {
  /** Why it has no threads; null where it has. */
  readonly threadsObstacle: string | null;
  /** Its level. @throws Error where another is asked for, or this engine cannot run it */
  choose(asked: 'auto' | KernelLevel): Promise<Choice>;
}

export function oneBuild(name: KernelBuild): OneBuild {
  const held = name.startsWith('relaxed') ? 'relaxed-simd' : 'simd';
  const otherwise = `, or an import of '${held === 'simd' ? 'lora-wasm/inline/relaxed-simd' : 'lora-wasm/inline'}'`;
  return {
    threadsObstacle: name.endsWith('-threads')
      ? null
      : "this entry holds no kernels for threads: import 'lora-wasm/inline/simd-threads'",
    async choose(asked) {
      if (asked !== 'auto' && asked !== held)
        throw new Error(
          `createRuntime: kernels is '${asked}', but this entry holds '${held}'; expected 'auto'${otherwise}`,
        );
      if (held === 'relaxed-simd' && !(await relaxedSimd())) throw noRelaxedSimd(otherwise);
      return {
        build: held,
        reason: asked === 'auto' ? 'the kernels of this entry' : `asked for by kernels: '${asked}'`,
      };
    },
  };
}

/**
 * The kernels' binary interface: what `assembly/index.ts` exports, seen from TypeScript, a file of `abi/` for each family.
 * Pointers are byte addresses in linear memory (unsigned, multiples of 4), sizes are in elements, `ld*` are row strides in elements.
 * Matrices are row-major f32. Sizes come first, then each operand with its stride, the output last, scratch behind it.
 * A null (0) pointer marks an optional operand that is absent. `accumulate` is 0 (overwrite) or 1 (add to the output).
 * Kernels check nothing and allocate nothing: the host guarantees sizes, ranges and scratch (see `plan.ts`). The `debug` build
 * alone asserts what they ask for (`assembly/checks.ts`): sizes, strides, alignment, null pointers, ends of operands, indices.
 */
import type { LoraKernels } from './abi/lora.js';
import type { MatmulKernels } from './abi/matmul.js';
import type { NnKernels } from './abi/nn.js';
import type { OptimKernels } from './abi/optim.js';
import type { RandomKernels } from './abi/random.js';
import type { TransformerKernels } from './abi/transformer.js';
import type { WindowKernels } from './abi/windows.js';

/** Every kernel, by its family. */
export interface Kernels
  extends MatmulKernels,
    LoraKernels,
    NnKernels,
    WindowKernels,
    OptimKernels,
    RandomKernels,
    TransformerKernels {
  /** First free byte of linear memory; the allocator starts here. */
  heapBase(): number;
  /** SIMD level of this build: 0 simd, 1 relaxed-simd. */
  simdLevel(): number;
}

/** Levels of the kernels: the same words as the option. */
export type KernelLevel = 'simd' | 'relaxed-simd';

/** Names of the kernel builds, as the files have them: those for threads compute over shared memory. */
export type KernelBuild = KernelLevel | `${KernelLevel}-threads`;

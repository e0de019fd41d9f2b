/**
 * The matrices of a small language model, of its own sizes and types, over random blocks: those of every layer lie apart, as a
 * model's do, so that whoever takes them in turn reads them from memory. Each beside the same numbers in float32.
 */
import type { Runtime, Tensor } from 'lora-wasm';
import { dequantise } from 'lora-wasm/formats';
import { Random } from '../../reference/random.js';
import { type Weight, weight } from '../../src/engine/operands.js';
import { bytesOf, DTYPE_INFO } from '../../src/values/dtypes.js';
import type { Kind } from './sizes.js';

/** A matrix of a layer in both forms: the same numbers. */
export interface Pair {
  readonly stored: Weight;
  readonly plain: Weight;
  readonly values: Float32Array;
}

type Stored = 'q4_1' | 'q8_0';

/** Halves of a scale from 2^-7 (of bytes: 2^-10) up to twice that, and of a minimum from -2^-4 down to twice that: their upper bits. */
const SCALE: Readonly<Record<Stored, readonly number[]>> = { q4_1: [0x2000, 0xac00], q8_0: [0x1400] };

function randomBlocks(dtype: Stored, elements: number, random: Random): Uint8Array {
  const { bytes } = DTYPE_INFO[dtype];
  const blocks = new Uint8Array(bytesOf([elements], dtype));
  for (let i = 0; i < blocks.length; i++) blocks[i] = random.below(256);
  for (let at = 0; at < blocks.length; at += bytes)
    for (const [i, upper] of SCALE[dtype].entries()) {
      const half = upper | random.below(1024);
      blocks.set([half & 255, half >> 8], at + 2 * i);
    }
  return blocks;
}

/** Matrices that share a kind: one of each layer, at addresses of their own, with the same numbers. */
export class Matrices {
  readonly pairs: readonly Pair[];
  readonly #tensors: readonly Tensor[];

  constructor(rt: Runtime, dtype: Stored, [N, K]: Kind, count: number) {
    const blocks = randomBlocks(dtype, N * K, new Random(N + 3 * K));
    const values = dequantise(dtype, blocks);
    const made = Array.from({ length: count }, () => {
      const stored = rt.zeros([N, K], { dtype }).writeBytes(blocks);
      return [stored, rt.tensor(values, [N, K])] as const;
    });
    this.#tensors = made.flat();
    this.pairs = made.map(([stored, plain]) => ({
      stored: weight(stored.pointer, N, K, dtype),
      plain: weight(plain.pointer, N, K),
      values,
    }));
  }

  dispose(): void {
    for (const tensor of this.#tensors) tensor.dispose();
  }
}

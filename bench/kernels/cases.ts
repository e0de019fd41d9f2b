/**
 * The kernels on the way of a training step, each with the work it cannot do without: flops, and the bytes that must come
 * from memory or a cache. `products.ts`, `skinny.ts` and `vectors.ts` make the cases, `suite.ts` measures them.
 */
import type { Runtime } from 'lora-wasm';

/** Which limit a case is held against, and how closely. */
export type Group = 'M >= 64' | 'M 9-63' | 'M 1-8' | 'odd sizes' | 'skinny' | 'vector';

export interface Ready {
  /** One call. */
  readonly run: () => void;
  /** Another call whose time is part of the limit: the big product beside a skinny one, the even neighbour of an odd size. */
  readonly beside?: () => void;
  /** Holds the result against float64. @throws Error naming the element */
  readonly verify: () => void;
  readonly dispose: () => void;
}

export interface KernelCase {
  readonly group: Group;
  readonly operation: string;
  readonly shape: string;
  readonly flops: number;
  /** Bytes of operands and result that a call cannot do without moving. */
  readonly bytes: number;
  /** Of the time of the call beside: the share that the flops are of its own. */
  readonly share: number | null;
  readonly prepare: (rt: Runtime) => Ready;
}

/** Names of the operations. */
export const KERNEL = {
  product: 'product x·Wᵀ',
  inputGradient: 'dx = dy·W',
  weightGradient: 'dW = dyᵀ·x',
  down: 'x·Aᵀ',
  hiddenGradient: 'dy·B',
  gradA: 'dA',
  gradB: 'dB',
} as const;

/** A matrix in the runtime's memory, filled from U(-1, 1) or empty. */
export interface Placed {
  readonly pointer: number;
  readonly values: () => Float32Array;
  readonly set: (values: Float32Array) => void;
}

/** Places matrices and gives them all back at once. */
export class Bench {
  readonly #rt: Runtime;
  readonly #tensors: { dispose(): void }[] = [];

  constructor(rt: Runtime) {
    this.#rt = rt;
  }

  random(size: number, scale = 1): Placed {
    return this.#place(this.#rt.uniform([size], -scale, scale));
  }

  empty(size: number): Placed {
    return this.#place(this.#rt.zeros([size]));
  }

  #place(tensor: ReturnType<Runtime['zeros']>): Placed {
    this.#tensors.push(tensor);
    return {
      pointer: tensor.pointer,
      values: () => tensor.toArray() as Float32Array,
      set: (v) => tensor.set(v),
    };
  }

  dispose(): void {
    for (const tensor of this.#tensors.splice(0)) tensor.dispose();
  }
}

/** A sum of products that an element must be: `terms` of them, each the product of two numbers. */
export type Sum = (add: (a: number, b: number) => void) => void;

const EPSILON = 2 ** -23;
const CHECKED = 300;

/**
 * Checks elements of a [rows, columns] result, the four corners and some between, each within the rounding bound of its sum
 * times `slack`.
 */
export function verifyElements(
  what: string,
  got: Float32Array,
  rows: number,
  columns: number,
  length: number,
  sumOf: (i: number, j: number) => Sum,
): void {
  const count = rows * columns;
  const picked = new Set([0, columns - 1, count - columns, count - 1]);
  for (let i = 0; i < CHECKED && picked.size < count; i++) picked.add((i * 2654435761) % count);
  for (const at of picked) {
    let value = 0;
    let size = 0;
    sumOf(
      Math.floor(at / columns),
      at % columns,
    )((a, b) => {
      value += a * b;
      size += Math.abs(a * b);
    });
    const bound = (length + 2) * EPSILON * size;
    if (!(Math.abs(got[at]! - value) <= bound)) {
      throw new Error(`verify: ${what}: element ${at} is ${got[at]}, expected ${value} within ${bound}`);
    }
  }
}

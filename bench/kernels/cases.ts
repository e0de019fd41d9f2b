/**
 * The kernels on the way of a training step, each with the work it cannot do without: flops, and the bytes that must come
 * from memory or a cache. `products.ts` and `vectors.ts` make the cases, `suite.ts` measures them.
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

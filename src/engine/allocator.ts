/**
 * The allocator of linear memory. It lives on the JavaScript side and is the only owner of everything above the kernels'
 * heap base. Small blocks come from size classes (four to a doubling), large ones from a best-fit list that joins neighbours.
 */
import { OutOfMemoryError } from './errors.js';

const ALIGN = 64;
const PAGE = 65536;
const GROW_STEP = 16 * 2 ** 20;
const SLAB = 256 * 1024;
const SMALL_LIMIT = 64 * 1024;
/** An end pointer at 4 GiB would wrap to 0 in the kernels: the last page is never handed out. */
const ADDRESS_LIMIT = 2 ** 32 - PAGE;

/** What memory is in use, for tests of leaks and for users. */
export interface AllocatorUse {
  /** Bytes in live blocks. */
  readonly held: number;
  /** Live blocks. */
  readonly blocks: number;
  /** Most bytes in live blocks at once since the memory was made, or since `resetPeak`. */
  readonly peak: number;
}

interface Hole {
  start: number;
  size: number;
}

export class Allocator {
  readonly #memory: WebAssembly.Memory;
  readonly #limit: number;
  readonly #small = new Map<number, number[]>();
  readonly #holes: Hole[] = [];
  /** Where somebody may still write, and the blocks there that were given back meanwhile. */
  #fences: Hole[] = [];
  #waiting: { pointer: number; bytes: number }[] = [];
  #end: number;
  #held = 0;
  #blocks = 0;
  #peak = 0;

  /**
   * @param heapBase - first byte that may be used
   * @param maxBytes - size that the memory may reach
   */
  constructor(memory: WebAssembly.Memory, heapBase: number, maxBytes: number) {
    this.#memory = memory;
    this.#end = Math.ceil(heapBase / ALIGN) * ALIGN;
    this.#limit = Math.min(maxBytes, ADDRESS_LIMIT);
  }

  /** Bytes that a block of `bytes` really takes. */
  static roundUp(bytes: number): number {
    if (bytes > SMALL_LIMIT) return Math.ceil(bytes / 4096) * 4096;
    if (bytes <= 4 * ALIGN) return Math.max(ALIGN, Math.ceil(bytes / ALIGN) * ALIGN);
    const step = 1 << (29 - Math.clz32(bytes - 1));
    return (bytes + step - 1) & -step;
  }

  /** Address of a free block, 64-byte aligned, content undefined. @throws OutOfMemoryError */
  allocate(bytes: number): number {
    const size = Allocator.roundUp(bytes);
    const pointer = size > SMALL_LIMIT ? this.#takeLarge(size, bytes) : this.#takeSmall(size);
    this.#held += size;
    this.#peak = Math.max(this.#peak, this.#held);
    this.#blocks++;
    return pointer;
  }

  /** Gives a block back; `bytes` as it was asked for. */
  free(pointer: number, bytes: number): void {
    const size = Allocator.roundUp(bytes);
    if (this.#fences.length > 0 && this.#isFenced(pointer, size)) {
      this.#waiting.push({ pointer, bytes });
      return;
    }
    this.#held -= size;
    this.#blocks--;
    if (size > SMALL_LIMIT) this.#giveLarge(pointer, size);
    else this.#small.get(size)!.push(pointer);
  }

  /** Blocks that meet these bytes stay taken when they are given back, until `liftFences`. */
  fence(start: number, size: number): void {
    this.#fences.push({ start, size });
  }

  liftFences(): void {
    const waiting = this.#waiting;
    this.#fences = [];
    this.#waiting = [];
    for (const { pointer, bytes } of waiting) this.free(pointer, bytes);
  }

  /** Bytes that the memory may reach. */
  get limit(): number {
    return this.#limit;
  }

  use(): AllocatorUse {
    return { held: this.#held, blocks: this.#blocks, peak: this.#peak };
  }

  /** From now on `peak` counts from what is held now. */
  resetPeak(): void {
    this.#peak = this.#held;
  }

  #isFenced(pointer: number, size: number): boolean {
    return this.#fences.some((fence) => pointer < fence.start + fence.size && fence.start < pointer + size);
  }

  #takeSmall(size: number): number {
    let list = this.#small.get(size);
    if (list === undefined) {
      list = [];
      this.#small.set(size, list);
    }
    const free = list.pop();
    if (free !== undefined) return free;
    const slab = this.#takeLarge(SLAB, size);
    for (let at = slab + SLAB - (SLAB % size) - size; at > slab; at -= size) list.push(at);
    return slab;
  }

  #takeLarge(size: number, wanted: number): number {
    let best = -1;
    for (let i = 0; i < this.#holes.length; i++) {
      const hole = this.#holes[i]!;
      if (hole.size >= size && (best < 0 || hole.size < this.#holes[best]!.size)) best = i;
    }
    if (best >= 0) {
      const hole = this.#holes[best]!;
      const pointer = hole.start;
      hole.start += size;
      hole.size -= size;
      if (hole.size === 0) this.#holes.splice(best, 1);
      return pointer;
    }
    const last = this.#holes.at(-1);
    const tail = last !== undefined && last.start + last.size === this.#end ? last : undefined;
    const pointer = tail?.start ?? this.#end;
    this.#reserve(pointer + size, wanted);
    if (tail !== undefined) this.#holes.pop();
    this.#end = pointer + size;
    return pointer;
  }

  #giveLarge(start: number, size: number): void {
    let low = 0;
    let high = this.#holes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#holes[middle]!.start < start) low = middle + 1;
      else high = middle;
    }
    const before = this.#holes[low - 1];
    const after = this.#holes[low];
    if (before !== undefined && before.start + before.size === start) {
      before.size += size;
      if (after !== undefined && before.start + before.size === after.start) {
        before.size += after.size;
        this.#holes.splice(low, 1);
      }
    } else if (after !== undefined && start + size === after.start) {
      after.start = start;
      after.size += size;
    } else {
      this.#holes.splice(low, 0, { start, size });
    }
  }

  /** Makes sure that memory reaches `end`. */
  #reserve(end: number, wanted: number): void {
    const have = this.#memory.buffer.byteLength;
    if (end <= have) return;
    if (end > this.#limit) throw new OutOfMemoryError(wanted, this.#held, this.#limit);
    const need = Math.ceil((end - have) / PAGE);
    const roomy = Math.floor((Math.min(this.#limit, Math.max(end, have + GROW_STEP)) - have) / PAGE);
    for (const pages of [Math.max(need, roomy), need]) {
      try {
        this.#memory.grow(pages);
        return;
      } catch {
        // The engine refused: try again with no more than what is needed, then report.
      }
    }
    throw new OutOfMemoryError(wanted, this.#held, this.#limit);
  }
}

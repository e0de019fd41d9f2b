/**
 * Tensor: a shape and a dtype over a storage in linear memory (held.ts). The public face hands out copies only; `pointer` and the
 * tape's fields are for `ops`. Tensors are made by a Runtime (`rt.tensor`) and by operations.
 */

import { bytesOf } from '../values/dtypes.js';
import { showShape } from '../values/shape.js';
import { copyFrom, copyOut, setNumbers, wordsOf, writeBytesTo, writeTo } from './content.js';
import type { ElementSource } from './elements.js';
import { checkExpected, checkRequires, gradientOf, notATensor } from './expected.js';
import { Held } from './held.js';
import type { Scoped } from './scope.js';
import { Storage } from './storage.js';
import type { TapeNode } from './tape.js';

/** Numbers with a shape in the memory of a runtime, and, where it is trained, their gradient. */
export class Tensor extends Held {
  /** @internal Tensors made so far, in all runtimes. */
  static made = 0;
  /** @internal Which of them this is. */
  readonly number = Tensor.made++;
  /** @internal The tape's record of how this tensor came about; null for a leaf. */
  node: TapeNode | null = null;
  #requiresGrad = false;
  #grad: Tensor | null = null;

  /** True for a leaf that `backward()` gives a gradient, and for what was computed from one. */
  get requiresGrad(): boolean {
    return this.#requiresGrad || this.node !== null;
  }

  set requiresGrad(value: boolean) {
    checkRequires(this, value);
    this.#requiresGrad = value;
  }

  /**
   * The gradient that `backward()` added up; null before there is one, and after its dispose(). What is set belongs to this
   * tensor, which disposes of it with itself. A parameter's gradient lies in its block, where the next one is written when
   * this is set to null: copy what you want to keep.
   * @throws TypeError, RangeError unless it is null or a live float32 tensor of the same runtime and shape
   */
  get grad(): Tensor | null {
    return this.#grad === null || this.#grad.disposed ? null : this.#grad;
  }

  set grad(value: Tensor | null) {
    if (value !== null) {
      if (!(value instanceof Tensor)) throw notATensor('Tensor.grad', 'gradient', value);
      checkExpected('Tensor.grad', 'gradient', value, gradientOf(this));
      if (value === this) throw new TypeError('Tensor.grad: gradient is the tensor itself, expected another');
      if (this.dtype !== 'f32')
        throw new TypeError(
          `Tensor.grad: the tensor is ${this.dtype}, expected f32 where there is a gradient`,
        );
      this.checkLive('grad');
      value.keep();
    }
    this.#grad = value;
  }

  /** The elements, copied, in row-major order; those of f16, bf16 and quantised types as float32. @throws OutOfMemoryError for quantised ones */
  toArray(): Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> {
    this.checkLive('toArray');
    const copy = this.dtype === 'i32' ? new Int32Array(this.size) : new Float32Array(this.size);
    return this.copyTo(copy);
  }

  /**
   * Copies the elements into `target`, of the kind and length that `toArray()` gives, and returns it.
   * @throws TypeError, RangeError; OutOfMemoryError for quantised ones
   */
  copyTo<T extends Float32Array | Int32Array>(target: T): T {
    this.checkLive('copyTo');
    return copyOut(this, target);
  }

  /**
   * Overwrites the elements with those of `source`: an array of numbers, a typed array (64-bit integers where they fit), or
   * a tensor of the same dtype and shape, of this or another runtime. Where the dtype has 16 bits, numbers are rounded to
   * the nearest, ties to even; a quantised tensor takes tensors alone. Everything is checked before anything changes.
   * @throws TypeError, RangeError
   */
  set(source: ElementSource | Tensor): this {
    this.checkLive('set');
    if (source instanceof Tensor) {
      const { dtype, shape } = this;
      checkExpected('Tensor.set', 'source', source, { dtype, shape });
      copyFrom(this, source);
      return this;
    }
    setNumbers(this, source);
    return this;
  }

  /** @internal Copies what `readElements` gave, rounded where the dtype has 16 bits, or the bytes of quantised blocks: nothing that could fail. */
  write(elements: ArrayLike<number>): this {
    writeTo(this, elements);
    return this;
  }

  /**
   * Overwrites a part of the elements with bytes as files hold them: little-endian, row-major; quantised ones in the blocks of
   * GGUF files. So a weight can be read from a file piece by piece, into its place, without a copy of the whole.
   * @param offset - byte of the tensor where they go, default 0; a piece may begin and end anywhere
   * @throws TypeError, RangeError for bytes that reach past the end
   * @example
   * for await (const piece of stream) { weight.writeBytes(piece, at); at += piece.length; }
   */
  writeBytes(bytes: Uint8Array, offset = 0): this {
    this.checkLive('writeBytes');
    writeBytesTo(this, bytes, offset);
    return this;
  }

  /** @internal A copy of the elements as they lie: what `writeBytes` puts back. */
  bytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(wordsOf(this).slice().buffer as ArrayBuffer);
  }

  /** The value of a tensor with one element. @throws RangeError */
  item(): number {
    this.checkLive('item');
    if (this.size !== 1)
      throw new RangeError(`Tensor.item: the tensor is ${showShape(this.shape)}, expected one element`);
    // A loss is read at every step: without an array around it.
    return this.dtype === 'f32' ? this.runtime.engine.f32()[this.pointer / 4]! : this.toArray()[0]!;
  }

  /**
   * Adds d(this)/d(leaf) to the `grad` of every leaf that requires one, and frees the tape on the way.
   * After an error every `grad` is what it was, and the tape may be spent: run forward again.
   * @param gradient - gradient of this tensor, of its shape; may be left out where it has one element
   * @throws TypeError, RangeError, OutOfMemoryError; Error where there is nothing to differentiate, or the tape is spent
   */
  backward(gradient?: Tensor): void {
    this.runtime.backward(this, gradient);
  }

  /** The same elements, cut off from the tape; shares memory. */
  detach(): Tensor {
    this.checkLive('detach');
    return this.runtime.adopt(
      new Tensor(this.runtime, this.storage.retain(), this.offset, this.shape, this.dtype),
    );
  }

  /** @internal */
  override release(): void {
    if (this.disposed) return;
    super.release();
    this.#grad?.dispose();
    this.#grad = null;
  }

  /** @internal */
  override *dependencies(): Iterable<Scoped> {
    if (this.node !== null) yield this.node;
  }

  /** @internal The tensor that backward writes a leaf's first gradient to; Parameters give a part of their block. */
  makeGrad(): Tensor {
    return new Tensor(
      this.runtime,
      new Storage(this.runtime.engine, bytesOf(this.shape, 'f32')),
      0,
      this.shape,
      'f32',
    ).keep();
  }

  /** @internal Makes what `makeGrad` gave, now written, the gradient. */
  takeGrad(gradient: Tensor): void {
    this.#grad = gradient;
  }

  /** @internal Gives back what `makeGrad` gave, unused. */
  dropGrad(gradient: Tensor): void {
    gradient.dispose();
  }

  override toString(): string {
    return `Tensor(${showShape(this.shape)} ${this.dtype}${this.requiresGrad ? ', requiresGrad' : ''})`;
  }
}

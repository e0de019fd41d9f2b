/**
 * Parameters: kept tensors that a module owns, and the block in which an adapter's parameters lie side by side, with
 * gradients in a block of the same layout, so that an optimiser's step is one kernel call.
 */

import { bytesOf, type DType } from '../values/dtypes.js';
import type { Shape } from '../values/shape.js';
import type { Runtime } from './runtime.js';
import { Storage } from './storage.js';
import { Tensor } from './tensor.js';

/** A module's tensor, in no scope: it requires a gradient until frozen; of another dtype than f32 it is frozen from birth. */
export class Parameter extends Tensor {
  /** @internal */ readonly block: ParameterBlock;
  /** @internal How many layers hold it: above 1 the weight is tied. */ holders = 1;

  /** @internal Use `ParameterBlock` or a layer. */
  constructor(block: ParameterBlock, storage: Storage, offset: number, shape: Shape, dtype: DType) {
    super(block.runtime, storage.retain(), offset, shape, dtype);
    this.block = block;
    this.requiresGrad = dtype === 'f32';
    this.keep();
  }

  /** @internal */
  override makeGrad(): Tensor {
    return this.block.gradOf(this);
  }

  /** @internal */
  override takeGrad(gradient: Tensor): void {
    super.takeGrad(gradient);
    this.block.keepGradients();
  }

  /** @internal */
  override dropGrad(gradient: Tensor): void {
    super.dropGrad(gradient);
    this.block.dropGradients();
  }
}

/** Parameters with settings of their own for an optimiser; what a group leaves out is the optimiser's. */
export interface ParameterGroup {
  readonly parameters: readonly Parameter[];
  /** Learning rate. */
  readonly lr?: number;
  readonly weightDecay?: number;
}

/** Releases the gradients of a block that was dropped without dispose(). */
const forgotten = new FinalizationRegistry<Storage>((storage) => storage.release());

/** One storage for parameters of the given shapes and one dtype, in their order, each starting at a multiple of 16 bytes. */
export class ParameterBlock {
  readonly runtime: Runtime;
  /** Bytes of the values, and of the gradients. */
  readonly bytes: number;
  readonly parameters: readonly Parameter[];
  #gradients: Storage | null = null;
  /** Whether a gradient in there was ever used: from then on the block keeps their memory. */
  #used = false;

  /** All are zero. @throws OutOfMemoryError */
  constructor(runtime: Runtime, shapes: readonly Shape[], dtype: DType = 'f32') {
    this.runtime = runtime;
    let bytes = 0;
    const offsets = shapes.map((shape) => {
      const at = bytes;
      bytes += Math.ceil(bytesOf(shape, dtype) / 16) * 16;
      return at;
    });
    this.bytes = bytes;
    const storage = new Storage(runtime.engine, bytes);
    runtime.engine.kernels.fill(bytes / 4, 0, storage.pointer);
    this.parameters = shapes.map((shape, i) => new Parameter(this, storage, offsets[i]!, shape, dtype));
    storage.release();
  }

  /** Gradient of one of the parameters: a view of the gradients' block, made when first asked for and kept. */
  gradOf(parameter: Parameter): Tensor {
    if (this.#gradients === null) {
      this.#gradients = new Storage(this.runtime.engine, this.bytes);
      forgotten.register(this, this.#gradients, this);
      this.runtime.engine.kernels.fill(this.bytes / 4, 0, this.#gradients.pointer);
    }
    const { offset, shape } = parameter;
    return new Tensor(this.runtime, this.#gradients.retain(), offset, shape, 'f32').keep();
  }

  /** A gradient was taken up. */
  keepGradients(): void {
    this.#used = true;
  }

  /** A gradient was given back: without another in use the memory goes, if it was made for that one. */
  dropGradients(): void {
    if (!this.#used && this.#gradients?.shared === false) this.#releaseGradients();
  }

  /** Disposes of the parameters, their gradients and the block. Harmless when repeated. */
  dispose(): void {
    for (const parameter of this.parameters) parameter.dispose();
    this.#releaseGradients();
  }

  #releaseGradients(): void {
    if (this.#gradients === null) return;
    forgotten.unregister(this);
    this.#gradients.release();
    this.#gradients = null;
  }
}

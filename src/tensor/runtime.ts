/**
 * Runtime: an engine, and the tensors made over it. Everything a program holds hangs on one Runtime; there is no default
 * one. `create-runtime.ts` makes it.
 */

import type { Engine, RuntimeInfo } from '../engine/engine.js';
import { COPY, THIS_COPY } from '../values/copy.js';
import { DISPOSE } from '../values/dispose.js';
import { bytesOf } from '../values/dtypes.js';
import type { DType, Shape } from '../values/shape.js';
import type { ElementSource } from './elements.js';
import { makeFull, makeParameter, makeTensor, makeZeros, type TensorOptions } from './make.js';
import type { MemoryUse } from './memory-use.js';
import type { Parameter } from './parameter.js';
import { drawNormal, drawUniform, putRandomState, type RandomState, randomStateOf } from './random.js';
import { RunState } from './run-state.js';
import type { Scoped } from './scope.js';
import { Storage } from './storage.js';
import { nodeOf, type Operation, type OperationInputs, type OperationKeep } from './tape.js';
import { Tensor } from './tensor.js';
import { backward } from './walk.js';

/** Kernels, memory and random numbers of their own. `createRuntime` makes one; layers take it, tensors belong to it. */
export class Runtime {
  /** @internal */ readonly engine: Engine;
  /** @internal What runs now. */ readonly running: RunState;

  /** @internal Use `createRuntime`. */
  constructor(engine: Engine) {
    this.engine = engine;
    this.running = new RunState(engine);
  }

  /** Which kernels run and why, threads, platform, seed. */
  info(): RuntimeInfo {
    return this.engine.info();
  }

  /** What memory is in use. */
  memory(): MemoryUse {
    this.#checkLive('memory');
    return { ...this.engine.use(), tensors: this.engine.liveTensors };
  }

  /** From now on `memory().peak` counts from what is held now. */
  resetPeakMemory(): void {
    this.#checkLive('resetPeakMemory');
    this.engine.resetPeak();
  }

  /** Drops the kernels and their memory; every tensor of this runtime is gone. Harmless when repeated. */
  dispose(): void {
    this.engine.dispose();
  }

  /** @internal */
  get [COPY](): object {
    return THIS_COPY;
  }

  /** The same as `dispose`, for `using`. */
  [DISPOSE](): void {
    this.dispose();
  }

  /**
   * A tensor of `data`, copied once into linear memory.
   * @param data - elements in row-major order: numbers, a typed array, or 64-bit integers that fit the dtype; f16 and bf16
   * round numbers to the nearest, ties to even
   * @param shape - default `[data.length]`
   * @throws TypeError, RangeError, OutOfMemoryError
   * @example
   * const x = rt.tensor([1, 2, 3, 4], [2, 2]);
   */
  tensor(data: ElementSource, shape?: Shape, options: TensorOptions = {}): Tensor {
    this.#checkLive('tensor');
    return makeTensor(this, data, shape, options);
  }

  /**
   * A parameter: a tensor that lives until `dispose()`, for a module's property. Of another dtype than f32 it is frozen.
   * @param data - elements as `rt.tensor` takes them, or null for zeros, which `writeBytes` then fills
   * @param shape - default `[data.length]`; needed where data is null
   * @throws TypeError, RangeError, OutOfMemoryError
   * @example
   * const weight = rt.parameter(null, [4096, 4096], { dtype: 'q4_K' });
   * for await (const piece of stream) { weight.writeBytes(piece, at); at += piece.length; }
   */
  parameter(data: ElementSource | null, shape?: Shape, options: TensorOptions = {}): Parameter {
    this.#checkLive('parameter');
    return makeParameter(this, data, shape, options);
  }

  /** A tensor of zeros. @throws TypeError, RangeError, OutOfMemoryError */
  zeros(shape: Shape, options: TensorOptions = {}): Tensor {
    this.#checkLive('zeros');
    return makeZeros(this, shape, options);
  }

  /** A float32 tensor filled with `value`, any number. @throws TypeError, RangeError, OutOfMemoryError */
  full(shape: Shape, value: number): Tensor {
    this.#checkLive('full');
    return makeFull(this, shape, value);
  }

  /**
   * Numbers from U[low, high), rounded to float32, by the runtime's generator: the next draw of the seed.
   * @param low - finite in float32, as are `high` and the distance between them
   * @param high - at least `low`
   * @throws TypeError, RangeError, OutOfMemoryError
   */
  uniform(shape: Shape, low: number, high: number): Tensor {
    this.#checkLive('uniform');
    return drawUniform(this, shape, low, high);
  }

  /** Normal numbers of mean 0, by the runtime's generator: the next draw of the seed. */
  normal(shape: Shape, std = 1): Tensor {
    this.#checkLive('normal');
    return drawNormal(this, shape, std);
  }

  /**
   * Where the random numbers stand: seed, and how many were drawn. With it, and the `dropoutState()` of a model, a run goes on
   * with the numbers that it would have had.
   */
  randomState(): RandomState {
    this.#checkLive('randomState');
    return randomStateOf(this.engine);
  }

  /** Puts the random numbers where `randomState()` found them, in this runtime or another. @throws TypeError, RangeError */
  setRandomState(state: RandomState): void {
    this.#checkLive('setRandomState');
    putRandomState(this.engine, state);
  }

  /**
   * Runs a synchronous function and releases every tensor made inside, except those that it returns (also in arrays,
   * maps and plain objects), which move to the scope around this one. Scopes nest.
   * @throws TypeError when `fn` returns a promise
   */
  scope<T>(fn: () => T): T {
    return this.running.scope(fn);
  }

  /** Runs a synchronous function without recording anything on the tape. @throws TypeError when `fn` returns a promise */
  noGrad<T>(fn: () => T): T {
    return this.running.noGrad(fn);
  }

  /**
   * @internal Runs `fn`, which makes several tensors or moves a random counter; when it throws, everything is as it was
   * before: the tensors are released, the counters are back. What `fn` made lives on where it would have without this.
   */
  attempt<T>(fn: () => T): T {
    return this.running.attempt(fn);
  }

  /** Whether operations are recorded now. */
  get gradEnabled(): boolean {
    return this.running.gradEnabled;
  }

  /** @internal A tensor of undefined content, in the current scope. */
  empty(shape: Shape, dtype: DType): Tensor {
    return this.adopt(new Tensor(this, new Storage(this.engine, bytesOf(shape, dtype)), 0, shape, dtype));
  }

  /** @internal Puts a tensor into the current scope. */
  adopt<T extends Scoped>(item: T): T {
    return this.running.adopt(item);
  }

  /**
   * @internal Hangs `output` on the tape if an input wants a gradient and recording is on.
   * @example
   * rt.record(y, {
   *   name: 'mul',
   *   inputs: { a, b },
   *   keep: { a, b },
   *   backward({ dy, at, grad }) { ... },
   * });
   */
  record<I extends OperationInputs, K extends OperationKeep>(
    output: Tensor,
    operation: Operation<I, K>,
  ): Tensor {
    const node = this.gradEnabled ? nodeOf(output.shape, operation) : null;
    if (node !== null) output.node = this.adopt(node);
    return output;
  }

  /** @internal See `Tensor.backward`. */
  backward(root: Tensor, gradient: Tensor | undefined): void {
    backward(root, gradient);
  }

  #checkLive(what: string): void {
    if (this.engine.disposed) throw new Error(`Runtime.${what}: the runtime was used after dispose()`);
  }
}

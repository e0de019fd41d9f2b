/** Rotary positions: the table of angles, and the rotation of queries and keys by it. The backward turns back. */

import { gradientMatrix } from '../engine/matrices.js';
import { matrix } from '../engine/operands.js';
import { turn } from '../engine/transformer.js';
import { checkTensor } from '../tensor/check.js';
import { checkRuntime } from '../tensor/check-runtime.js';
import type { Runtime } from '../tensor/runtime.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkInteger, checkNumber, checkOptions, describe } from '../values/checks.js';
import { DISPOSE } from '../values/dispose.js';
import { typedArrayLength, typedArrayName } from '../values/kind.js';
import { showShape } from '../values/shape.js';
import { checkTensors } from './check.js';
import { type Indices, indicesOf } from './indices.js';

/** What a `RotaryTable` is made of. */
export interface RotaryOptions {
  /** Elements of a head, even. */
  readonly headDim: number;
  /** Positions, from 0 up. */
  readonly length: number;
  /** Base of the frequencies, more than 1. */
  readonly theta: number;
  /** [headDim/2], each divides its frequency: how linear and Llama 3 scaling are told. Default ones. */
  readonly factors?: Float32Array;
  /** Multiplies cosines and sines. Default 1. */
  readonly attentionFactor?: number;
}

/** Angles up to here are exact to the last digit of a float32 cosine. */
const LARGEST_ANGLE = 2 ** 20;

/** Cosines and sines of every position, made by `rotaryTable`; it lives until `dispose()`. */
export class RotaryTable {
  readonly headDim: number;
  readonly length: number;
  /** [length, headDim/2] */
  readonly cos: Tensor;
  /** [length, headDim/2] */
  readonly sin: Tensor;

  /** @internal Use `rotaryTable`. */
  constructor(headDim: number, length: number, cos: Tensor, sin: Tensor) {
    this.headDim = headDim;
    this.length = length;
    this.cos = cos;
    this.sin = sin;
  }

  /** Frees both tables. Harmless when repeated. */
  dispose(): void {
    this.cos.dispose();
    this.sin.dispose();
  }

  /** The same as `dispose`, for `using`. */
  [DISPOSE](): void {
    this.dispose();
  }
}

/**
 * cos and sin of position·theta^(-2j/headDim)/factors[j], times attentionFactor: computed in float64 by the kernels and rounded once, so
 * that every engine gives the same bits (Su and others, arXiv 2104.09864).
 * @throws TypeError, RangeError, OutOfMemoryError
 * @example
 * const table = rotaryTable(rt, { headDim: 64, length: 2048, theta: 10000 });
 */
export function rotaryTable(runtime: Runtime, options: RotaryOptions): RotaryTable {
  const where = 'rotaryTable';
  checkRuntime(where, runtime);
  checkOptions(where, options, ['headDim', 'length', 'theta', 'factors', 'attentionFactor']);
  const headDim = checkInteger(`${where}: headDim`, options.headDim, 2, 65536);
  if (headDim % 2 !== 0) throw new RangeError(`${where}: headDim is ${headDim}, expected an even number`);
  const length = checkInteger(`${where}: length`, options.length, 1, LARGEST_ANGLE);
  const theta = checkNumber(`${where}: theta`, options.theta, 1, Number.MAX_VALUE);
  const scale = checkNumber(`${where}: attentionFactor`, options.attentionFactor ?? 1, 0, 1e6);
  const { factors } = options;
  const half = headDim / 2;
  if (factors !== undefined) checkFactors(where, factors, half, length);
  return runtime.attempt(() => {
    const cos = runtime.empty([length, half], 'f32');
    const sin = runtime.empty([length, half], 'f32');
    const divisors = factors === undefined ? null : runtime.tensor(factors);
    const { kernels } = runtime.engine;
    kernels.rotaryTable(length, half, theta, scale, divisors?.pointer ?? 0, cos.pointer, sin.pointer);
    divisors?.dispose();
    return new RotaryTable(headDim, length, cos.keep(), sin.keep());
  });
}

/** @throws TypeError, RangeError unless `factors` is [half], each large enough that no angle passes the largest one */
function checkFactors(where: string, factors: unknown, half: number, length: number): void {
  if (typedArrayName(factors) !== 'Float32Array')
    throw new TypeError(`${where}: factors is ${describe(factors)}, expected a Float32Array`);
  const values = factors as Float32Array;
  if (typedArrayLength(values) !== half)
    throw new RangeError(
      `${where}: factors has ${values.length} elements, expected ${half}, half of headDim`,
    );
  for (let j = 0; j < half; j++)
    checkNumber(`${where}: factors[${j}]`, values[j], length / LARGEST_ANGLE, Number.MAX_VALUE);
}

/**
 * Every head of x turned by its position: [x1·cos - x2·sin, x2·cos + x1·sin], x1 and x2 its halves, as in transformers.
 * @param x - [B, T, heads·headDim] float32
 * @param positions - int32 [T] for all rows of the batch, or [B·T]: an Int32Array or a tensor; default 0 to T-1
 * @throws TypeError, RangeError, OutOfMemoryError
 * @example
 * const q = rotate(qProj.forward(x), table);
 */
export function rotate(x: Tensor, table: RotaryTable, positions?: Indices): Tensor {
  const where = 'rotate';
  const rt = checkTensors(where, { x });
  if (!(table instanceof RotaryTable))
    throw new TypeError(`${where}: table is ${describe(table)}, expected what rotaryTable gives`);
  const { headDim, length } = table;
  for (const part of ['cos', 'sin'] as const)
    checkTensor(where, `table.${part}`, table[part], { runtime: rt });
  const [B, T, width] = x.shape;
  if (x.shape.length !== 3 || width! % headDim !== 0)
    throw new RangeError(`${where}: x is ${showShape(x.shape)}, expected [B, T, heads*${headDim}]`);
  const M = B! * T!;
  if (positions === undefined && T! > length)
    throw new RangeError(
      `${where}: x is ${showShape(x.shape)}, expected at most ${length} positions, as the table`,
    );
  const { engine } = rt;
  return rt.attempt(() => {
    const given = indicesOf(`${where}: positions`, rt, positions, [T!, M], length);
    const places = (pointer: number) => ({ positions: pointer, period: Math.max(given?.size ?? T!, 1) });
    const angles = (cos: number, sin: number) => ({ cos, sin, length, half: headDim / 2 });
    const y = rt.empty(x.shape, 'f32');
    const to = gradientMatrix({ pointer: y.pointer, accumulate: 0 }, M, width!);
    const { cos, sin } = table;
    turn(
      engine,
      matrix(x.pointer, M, width!),
      angles(cos.pointer, sin.pointer),
      places(given?.pointer ?? 0),
      0,
      to,
    );
    rt.record(y, {
      name: where,
      inputs: { x },
      keep: { cos, sin, given },
      backward({ dy, at, grad }) {
        const dx = grad('x');
        if (dx === null) return;
        const own = places(given === null ? 0 : at('given'));
        turn(
          engine,
          matrix(dy.pointer, M, width!),
          angles(at('cos'), at('sin')),
          own,
          1,
          gradientMatrix(dx, M, width!),
        );
      },
    });
    if (given !== null && given !== positions) given.dispose();
    return y;
  });
}

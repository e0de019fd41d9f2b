/**
 * Tensors and parameters of elements that a caller hands over, or of zeros: what is checked of elements, shape and options, and
 * the making. Called by the methods of Runtime.
 */
import { checkBoolean, checkOptions, describe } from '../values/checks.js';
import { checkDType } from '../values/dtypes.js';
import { checkCount, checkRows, checkShape, type DType, type Shape } from '../values/shape.js';
import { wordsOf } from './content.js';
import { countElements, dtypeOfSource, type ElementSource, readElements } from './elements.js';
import { type Parameter, ParameterBlock } from './parameter.js';
import type { Runtime } from './runtime.js';
import type { Tensor } from './tensor.js';

/** Options of `rt.tensor`, `rt.zeros` and their kin. */
export interface TensorOptions {
  /**
   * Default: `'i32'` for an Int32Array and arrays of 64-bit integers, else `'f32'`. `'f16'`, `'bf16'` and the quantised types
   * of GGUF files are for frozen weights; what is quantised is made as zeros, which `writeBytes` fills, and has rows of whole blocks.
   */
  readonly dtype?: DType;
  /** Whether `backward()` gives the tensor a gradient. Default false; a parameter's is true where its dtype is `'f32'`. */
  readonly requiresGrad?: boolean;
}

/** What is to be made, checked. */
interface Plan extends Required<TensorOptions> {
  readonly dims: Shape;
  /** Null for zeros. */
  readonly elements: ArrayLike<number> | null;
}

/** @see Runtime.tensor */
export function makeTensor(
  rt: Runtime,
  data: ElementSource,
  shape: Shape | undefined,
  options: TensorOptions,
): Tensor {
  const where = 'Runtime.tensor';
  const given = { data, count: countElements(where, 'data', data) };
  const { dims, elements, dtype, requiresGrad } = planOf(where, given, shape, options);
  const tensor = rt.empty(dims, dtype).write(elements!);
  tensor.requiresGrad = requiresGrad;
  return tensor;
}

/** @see Runtime.parameter */
export function makeParameter(
  rt: Runtime,
  data: ElementSource | null,
  shape: Shape | undefined,
  options: TensorOptions,
): Parameter {
  const where = 'Runtime.parameter';
  const given = data === null ? null : { data, count: countElements(where, 'data', data) };
  const trains = (dtype: DType): boolean => dtype === 'f32';
  const { dims, elements, dtype, requiresGrad } = planOf(where, given, shape, options, trains);
  const parameter = new ParameterBlock(rt, [dims], dtype).parameters[0]!;
  // No layer holds it yet.
  parameter.holders = 0;
  if (elements !== null) parameter.write(elements);
  parameter.requiresGrad = requiresGrad;
  return parameter;
}

/** @see Runtime.zeros */
export function makeZeros(rt: Runtime, shape: Shape, options: TensorOptions): Tensor {
  const { dims, dtype, requiresGrad } = planOf('Runtime.zeros', null, shape, options);
  const tensor = rt.empty(dims, dtype);
  wordsOf(tensor).fill(0);
  tensor.requiresGrad = requiresGrad;
  return tensor;
}

/** @see Runtime.full */
export function makeFull(rt: Runtime, shape: Shape, value: number): Tensor {
  if (typeof value !== 'number')
    throw new TypeError(`Runtime.full: value is ${describe(value)}, expected a number`);
  const tensor = rt.empty(checkShape('Runtime.full', shape), 'f32');
  rt.engine.kernels.fill(tensor.size, value, tensor.pointer);
  return tensor;
}

/**
 * @param given - the elements and how many, null for zeros
 * @param trains - whether what nobody says about requires a gradient, by its dtype
 * @throws TypeError, RangeError
 */
function planOf(
  where: string,
  given: { readonly data: ElementSource; readonly count: number } | null,
  shape: Shape | undefined,
  options: TensorOptions,
  trains = (_dtype: DType): boolean => false,
): Plan {
  const dims = checkShape(where, shape ?? (given === null ? shape : [given.count]));
  if (given !== null) checkCount(where, 'data', given.count, dims);
  checkOptions(where, options, ['dtype', 'requiresGrad']);
  const { dtype = given === null ? 'f32' : dtypeOfSource(given.data) } = options;
  checkDType(where, dtype);
  checkRows(where, dims, dtype);
  const { requiresGrad = trains(dtype) } = options;
  checkBoolean(`${where}: requiresGrad`, requiresGrad);
  if (requiresGrad && dtype !== 'f32')
    throw new TypeError(`${where}: requiresGrad where dtype is ${dtype}, expected f32`);
  const elements = given === null ? null : readElements(where, given.data, given.count, dtype);
  return { dims, elements, dtype, requiresGrad };
}

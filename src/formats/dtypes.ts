/** The safetensors dtypes: their widths, and those whose values are read. */

import { describe } from '../values/checks.js';
import { FormatError } from '../values/format-error.js';
import { decodeHalves, type HalfDType } from '../values/halves.js';
import { typedArrayName } from '../values/kind.js';

/** Bits of an element, for every legal dtype. */
export const DTYPE_BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** The types of a safetensors file, by their names there. */
export type Dtype = keyof typeof DTYPE_BITS;

/** Arrays that values are read into; F16 and BF16 give float32. */
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

export function isDtype(value: unknown): value is Dtype {
  return typeof value === 'string' && Object.hasOwn(DTYPE_BITS, value);
}

/** The dtype that an array is written as. @throws FormatError */
export function dtypeOf(where: string, data: unknown): Dtype {
  const dtype = DTYPE_OF[typedArrayName(data) ?? ''];
  if (dtype === undefined)
    throw new FormatError(`${where}: data is ${describe(data)}, expected a typed array`);
  return dtype;
}

/** By the name of the class, which is the same in every realm. */
const DTYPE_OF: Readonly<Record<string, Dtype>> = {
  Float32Array: 'F32',
  Float64Array: 'F64',
  Int8Array: 'I8',
  Int16Array: 'I16',
  Int32Array: 'I32',
  BigInt64Array: 'I64',
  Uint8Array: 'U8',
  Uint16Array: 'U16',
  Uint32Array: 'U32',
  BigUint64Array: 'U64',
};

/** Values of a tensor from its bytes, which start at offset 0 of their own buffer. @throws FormatError for a dtype that has no reader */
export function decode(
  where: string,
  name: string,
  dtype: Dtype,
  bytes: Uint8Array<ArrayBuffer>,
): TypedArray {
  const { buffer } = bytes;
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer);
    case 'F64':
      return new Float64Array(buffer);
    case 'F16':
      return floats('f16', new Uint16Array(buffer));
    case 'BF16':
      return floats('bf16', new Uint16Array(buffer));
    case 'I8':
      return new Int8Array(buffer);
    case 'I16':
      return new Int16Array(buffer);
    case 'I32':
      return new Int32Array(buffer);
    case 'I64':
      return new BigInt64Array(buffer);
    case 'U8':
    case 'BOOL':
      return bytes;
    case 'U16':
      return new Uint16Array(buffer);
    case 'U32':
      return new Uint32Array(buffer);
    case 'U64':
      return new BigUint64Array(buffer);
    default:
      throw new FormatError(
        `${where}: tensor '${name}' is ${dtype}, expected a dtype whose values can be read`,
      );
  }
}

function floats(dtype: HalfDType, bits: Uint16Array): Float32Array {
  const values = new Float32Array(bits.length);
  decodeHalves(dtype, bits, values);
  return values;
}

/** Values of a floating-point dtype as float32. @throws FormatError for another dtype */
export function toFloat32(where: string, name: string, dtype: Dtype, array: TypedArray): Float32Array {
  if (array instanceof Float32Array) return array;
  if (array instanceof Float64Array) return new Float32Array(array);
  throw new FormatError(`${where}: tensor '${name}' is ${dtype}, expected F32, F16, BF16 or F64`);
}

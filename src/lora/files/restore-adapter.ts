/**
 * Putting an exported adapter's values back into the adapter that wrote them, or its like over the same base: bit for bit, in
 * place, whatever form the file has. For checkpoints; `loadAdapter` adds an adapter under a new name.
 */
import { PEFT_PREFIX } from '../../formats/peft-keys.js';
import { readSafetensors, type SafetensorsFile } from '../../formats/safetensors-read.js';
import type { Parameter } from '../../tensor/parameter.js';
import { type Shape, sameShape, showShape, sizeOf } from '../../values/shape.js';
import type { Adapter } from '../attached/adapter.js';
import { AdapterError } from '../errors.js';
import { adapterTensors, type NamedFactors } from '../layer/tensors.js';
import type { ChangedBase } from '../maths/factors.js';

/** A parameter and the values that it is to have. */
export type Restored = readonly [parameter: Parameter, values: Float32Array];

/** Where the values of a parameter stand in the tensor of a file. */
interface Form {
  readonly shape: Shape;
  /** The parameter's values out of the tensor's. */
  readonly values: (data: Float32Array) => Float32Array;
}

/**
 * The values of an adapter's parameters out of the file that `exportAdapter` made of it; nothing is changed.
 * @throws AdapterError where the file is another adapter's; FormatError
 */
export function restoredValues(where: string, adapter: Adapter, weights: Uint8Array): Restored[] {
  const file = readSafetensors(where, weights);
  const forms = new Map<Parameter, Form>();
  for (const layer of adapter.layers) {
    const { A, B, changed, ranges } = layer.factors;
    if (changed !== null) {
      checkOriginal(where, layer, changed, file, adapter);
      forms.set(A, firstRows(A.shape)).set(B, firstColumns(B.shape));
    } else if (ranges !== null) forms.set(B, folded(layer));
  }
  const tensors = adapterTensors(adapter, []).map(({ key, held }) => ({ key: PEFT_PREFIX + key, held }));
  const missing = tensors.filter(({ key }) => !file.has(key)).map(({ key }) => key);
  const known = new Set(tensors.map(({ key }) => key));
  const unexpected = file.names.filter((name) => !known.has(name));
  if (missing.length + unexpected.length > 0)
    throw new AdapterError(
      `${where}: missing [${missing.join(', ')}], unexpected [${unexpected.join(', ')}], expected the tensors of adapter '${adapter.name}'`,
    );
  return tensors.map(({ key, held }): Restored => {
    const { shape, values } = forms.get(held) ?? { shape: held.shape, values: (data) => data };
    const found = file.info(key).shape;
    if (!sameShape(found, shape))
      throw new AdapterError(`${where}: ${key} is ${showShape(found)}, expected ${showShape(shape)}`);
    return [held, values(file.f32(key))];
  });
}

/** [A; A₀]: the rows of A. */
function firstRows([r = 0, ...rest]: Shape): Form {
  const size = sizeOf([r, ...rest]);
  return { shape: [2 * r, ...rest], values: (data) => data.subarray(0, size) };
}

/** [B, -B₀]: the columns of B. */
function firstColumns([rows = 0, r = 0]: Shape): Form {
  return {
    shape: [rows, 2 * r],
    values: (data) => {
      const own = new Float32Array(rows * r);
      for (let i = 0; i < rows; i++) own.set(data.subarray(2 * i * r, (2 * i + 1) * r), i * r);
      return own;
    },
  };
}

/** B of fused projections over all outputs: what stands in each slice's own columns. */
function folded({ factors: { B, ranges }, outputs }: NamedFactors): Form {
  const r = B.shape[1]!;
  const slices = ranges!;
  const wide = slices.length * r;
  return {
    shape: [outputs, wide],
    values: (data) => {
      const own = new Float32Array(B.size);
      let row = 0;
      for (const [i, { from, size }] of slices.entries())
        for (let n = 0; n < size; n++, row++) {
          const at = (from + n) * wide + i * r;
          own.set(data.subarray(at, at + r), row * r);
        }
      return own;
    },
  };
}

/** What an initialisation took out of the base must be what it took out then. @throws AdapterError */
function checkOriginal(
  where: string,
  layer: NamedFactors,
  { A0, B0 }: ChangedBase,
  file: SafetensorsFile,
  adapter: Adapter,
): void {
  const keyOf = (parameter: Parameter): string =>
    PEFT_PREFIX + adapterTensors(adapter, []).find(({ held }) => held === parameter)!.key;
  const { A, B } = layer.factors;
  const [a, b] = [keyOf(A), keyOf(B)];
  if (!file.has(a) || !file.has(b)) return;
  const r = A.shape[0]!;
  const [down, up] = [file.f32(a), file.f32(b)];
  const same =
    down.length === 2 * A0.length &&
    up.length === 2 * B0.length &&
    A0.every((value, i) => value === down[A0.length + i]) &&
    B0.every((value, i) => -value === up[2 * (i - (i % r)) + r + (i % r)]);
  if (!same)
    throw new AdapterError(
      `${where}: what the initialisation took out of '${layer.path}' differs, expected the base that the adapter was made over`,
    );
}

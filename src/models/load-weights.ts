/** Fills a parameter from where it lies, piece by piece: the whole file is never in JavaScript. Called by `load-model.ts`. */
import { dequantiseAs } from '../formats/dequantise.js';
import { type GgufDType, READABLE } from '../formats/ggml-types.js';
import { rowInHalves } from '../formats/gguf-base.js';
import { type QuantiseDType, quantise } from '../formats/quantise.js';
import type { RandomAccess } from '../formats/source.js';
import { messageOf } from '../platform/index.js';
import { allFinite, nonFiniteBlock } from '../tensor/finite.js';
import type { Parameter } from '../tensor/parameter.js';
import { type DType, isQuantised, rowBytes } from '../values/dtypes.js';
import { FormatError } from '../values/format-error.js';
import { encodeHalves, isHalf } from '../values/halves.js';
import type { StoredTensor } from './source/model-source.js';

/** Bytes of a piece at most: whole rows where they fit, else whole blocks. */
export const PIECE = 2 ** 20;

/**
 * Copies a tensor into its parameter, of the same shape and of any type.
 * @param room - PIECE bytes, where every piece goes that the source can put there
 * @param read - told of bytes as they come; what it throws ends the copying
 * @throws FormatError for numbers that are not finite, or too large for the parameter's type; errors of the source
 */
export async function fill(
  parameter: Parameter,
  stored: StoredTensor,
  room: Uint8Array,
  read: (bytes: number) => void,
): Promise<void> {
  const { where, label, type, shape, file, begin, pairedHeads } = stored;
  const what = `${where}: tensor '${label}'`;
  const columns = shape.at(-1)!;
  const rows = parameter.size / columns;
  // A bias of queries or keys is reordered by single elements.
  const [units, unit] = shape.length === 1 ? [columns, 1] : [rows, columns];
  const step = stepOf(unit, type, pairedHeads > 0);
  const held = (elements: number): number => rowBytes(elements, parameter.dtype);
  const { elements: perBlock, bytes: blockBytes } = READABLE[type];
  const bytesOf = (elements: number): number => (elements / perBlock) * blockBytes;
  for (let at = 0; at < parameter.size; at += step) {
    const count = Math.min(step, parameter.size - at);
    const bytes = await pieceOf(file, begin + bytesOf(at), begin + bytesOf(at + count), room);
    const values = converted(what, bytes, type, parameter.dtype);
    if (pairedHeads === 0) parameter.writeBytes(values, held(at));
    else
      for (let i = 0; i < count; i += unit) {
        const row = rowInHalves((at + i) / unit, units / pairedHeads);
        parameter.writeBytes(values.subarray(held(i), held(i + unit)), held(row * unit));
      }
    read(bytes.length);
  }
  checkFinite(what, type, parameter);
}

/** @throws FormatError for a value that is none, and for a block whose scale or minimum is none */
function checkFinite(what: string, type: GgufDType, parameter: Parameter): void {
  if (isQuantised(parameter.dtype)) {
    const block = nonFiniteBlock(parameter);
    if (block < 0) return;
    throw new FormatError(`${what}: a scale or minimum of block ${block} is not finite, expected it to be`);
  }
  if (!allFinite(parameter))
    throw new FormatError(
      `${what} holds numbers that are not finite${type === parameter.dtype ? '' : ` as ${parameter.dtype}`}, expected none`,
    );
}

/** Bytes of a file, in `room` where the source can put them there: one buffer serves all pieces. */
async function pieceOf(
  file: RandomAccess,
  begin: number,
  end: number,
  room: Uint8Array,
): Promise<Uint8Array> {
  if (file.readInto === undefined || end - begin > room.length) return file.read(begin, end);
  const piece = room.subarray(0, end - begin);
  await file.readInto(begin, piece);
  return piece;
}

/** Elements of a piece. @param whole - whether rows may not be cut */
function stepOf(unit: number, type: GgufDType, whole: boolean): number {
  const { elements, bytes } = READABLE[type];
  const room = Math.floor(PIECE / bytes) * elements;
  if (unit <= room) return Math.floor(room / unit) * unit;
  return whole ? unit : room;
}

/** @throws FormatError for a value that is not finite, or too large */
function quantised(what: string, to: QuantiseDType, values: Float32Array): Uint8Array {
  try {
    return quantise(to, values);
  } catch (cause) {
    throw new FormatError(`${what}: ${messageOf(cause)}`, { cause });
  }
}

/** Bytes of one type as those of another. */
function converted(what: string, bytes: Uint8Array, from: GgufDType, to: DType): Uint8Array {
  if (from === to) return bytes;
  const values = dequantiseAs(what, from, bytes);
  if (to === 'q8_0' || to === 'q4_0') return quantised(what, to, values);
  if (!isHalf(to)) return new Uint8Array(values.buffer);
  const halves = new Uint16Array(values.length);
  encodeHalves(to, values, halves);
  return new Uint8Array(halves.buffer);
}

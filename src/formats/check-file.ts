/** A whole adapter that a caller hands to a writer: checked before anything of it is used. */

import { describe } from '../values/checks.js';
import { FormatError } from '../values/format-error.js';
import { typedArrayLength, typedArrayName } from '../values/kind.js';
import { checkObject, checkText, field, wrongType } from './check.js';

const FORMATS = ['peft', 'mlx', 'gguf', 'kohya', 'loralib'];
const KINDS = ['linear', 'embedding', 'conv2d'];
const EXTRAS = ['magnitude', 'lora_bias', 'bias', 'saved', 'base', 'unknown'];

/** @throws TypeError for what is no LoraFile; FormatError for shapes that its data does not have */
export function checkLoraFile(where: string, file: unknown): void {
  checkObject(`${where}: file`, file, 'an adapter as readAdapter gives it');
  checkWord(`${where}: file.format`, field(file, 'format'), FORMATS);
  for (const [i, module] of checkList(`${where}: file.modules`, field(file, 'modules')).entries())
    checkModule(`${where}: file.modules[${i}]`, module);
  for (const [i, extra] of checkList(`${where}: file.extras`, field(file, 'extras')).entries()) {
    const at = `${where}: file.extras[${i}]`;
    checkObject(at, extra, 'a name with its kind and tensor');
    checkText(`${at}.name`, field(extra, 'name'));
    checkWord(`${at}.kind`, field(extra, 'kind'), EXTRAS);
    const layer = field(extra, 'layer');
    if (layer !== undefined) checkText(`${at}.layer`, layer);
    checkObject(`${at}.tensor`, field(extra, 'tensor'), 'a shape with its data');
  }
  const config = field(file, 'config');
  if (config !== null) checkObject(`${where}: file.config`, config, "PEFT's config, or null");
  checkList(`${where}: file.warnings`, field(file, 'warnings'));
}

/** @throws TypeError, FormatError */
export function checkModule(where: string, module: unknown): void {
  checkObject(where, module, 'a module with its factors');
  checkText(`${where}.path`, field(module, 'path'));
  checkWord(`${where}.kind`, field(module, 'kind'), KINDS);
  for (const name of ['A', 'B']) checkArray(`${where}.${name}`, field(module, name));
  const r = field(module, 'r');
  if (typeof r !== 'number') throw wrongType(`${where}.r`, r, 'a number');
  for (const name of ['alpha', 'scale'])
    if (field(module, name) === undefined) throw wrongType(`${where}.${name}`, undefined, 'a number or null');
}

/** float32 values with their shape. @throws TypeError, FormatError */
export function checkArray(where: string, array: unknown): void {
  checkObject(where, array, 'a shape with its data');
  const shape = checkList(`${where}.shape`, field(array, 'shape'));
  const data = field(array, 'data');
  if (!ArrayBuffer.isView(data) || typedArrayName(data) !== 'Float32Array')
    throw wrongType(`${where}.data`, data, 'a Float32Array');
  const size = shape.reduce<number>((product, n) => {
    if (typeof n !== 'number' || !Number.isSafeInteger(n) || n < 0)
      throw wrongType(`${where}.shape holds a size that`, n, 'an integer from 0 up');
    return product * n;
  }, 1);
  const length = typedArrayLength(data);
  if (size !== length)
    throw new FormatError(
      `${where}: data has ${length} elements, expected ${size} for [${shape.join(', ')}]`,
    );
}

function checkList(where: string, value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw wrongType(where, value, 'an array');
  return value;
}

function checkWord(where: string, value: unknown, words: readonly string[]): void {
  if (typeof value !== 'string' || !words.includes(value))
    throw new TypeError(`${where} is ${describe(value)}, expected one of ${words.join(', ')}`);
}

/** How strong a layer is: its alpha and the scale that follows. Readers make it and writers take it through the one check here. */
import { describe } from '../values/checks.js';
import { FormatError } from '../values/format-error.js';
import type { SafetensorsFile } from './safetensors-read.js';

/** A layer's alpha with the scale that follows, or nothing known. */
export interface Strength {
  readonly alpha: number | null;
  readonly scale: number | null;
}

/** alpha/r, the scale of every format but PEFT's rsLoRA and MLX. */
export function strengthOf(alpha: number | null, r: number): Strength {
  return { alpha, scale: alpha === null ? null : alpha / r };
}

/** Both are numbers that float32 holds, or unknown. @throws FormatError */
export function checkStrength(where: string, path: string, { alpha, scale }: Strength): Strength {
  for (const [what, value] of [
    ['alpha', alpha],
    ['scale', scale],
  ] as const)
    if (value !== null && !isFiniteFloat(value))
      throw new FormatError(
        `${where}: the ${what} of '${path}' is ${describe(value)}, expected a finite number within float32`,
      );
  return { alpha, scale };
}

/** Whether something is a number that stays finite as float32. */
export function isFiniteFloat(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(Math.fround(value));
}

/** The number in a tensor `<layer>.alpha`. @throws FormatError */
export function alphaTensor(where: string, file: SafetensorsFile, name: string): number {
  const { shape, dtype } = file.info(name);
  if (shape.reduce((product, size) => product * size, 1) !== 1)
    throw new FormatError(`${where}: '${name}' is [${shape.join(', ')}], expected one number`);
  const alpha = dtype === 'BOOL' ? Number.NaN : Number(file.array(name)[0]);
  if (!isFiniteFloat(alpha))
    throw new FormatError(`${where}: '${name}' is ${alpha} (${dtype}), expected a finite number`);
  return alpha;
}

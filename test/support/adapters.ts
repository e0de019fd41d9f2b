/** Small adapters for the tests of the formats, with values that float32 holds exactly, and a comparison of what they change. */
import { expect } from 'vitest';
import { deltaWeight, type LoraFile, type LoraKind, type LoraModule } from '../../src/formats/index.js';

/** Whole numbers from -8 to 8 that depend on the seed. */
export function numbers(size: number, seed: number): Float32Array {
  return Float32Array.from({ length: size }, (_, i) => (((i + 1) * 7 + seed * 13 + i * i * 3) % 17) - 8);
}

/** A module of whole numbers: linear and embedding of two sizes, conv2d with a kernel and groups. */
export function makeModule(
  path: string,
  [out, r, ...input]: readonly number[],
  scale: number | null,
  kind: LoraKind = 'linear',
  groups = 1,
): LoraModule {
  const seed = path.length + r!;
  const b = kind === 'conv2d' ? [out!, r! / groups, 1, 1] : [out!, r!];
  const a = [r!, ...input];
  const size = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);
  return {
    path,
    kind,
    A: { shape: a, data: numbers(size(a), seed) },
    B: { shape: b, data: numbers(size(b), seed + 1) },
    r: r!,
    alpha: scale === null ? null : scale * r!,
    scale,
  };
}

export function makeFile(modules: readonly LoraModule[], rest: Partial<LoraFile> = {}): LoraFile {
  return { format: 'peft', modules, extras: [], config: null, warnings: [], ...rest };
}

/** Each module's change of the base by path, equal within a few float32 roundings of the largest value. */
export function expectSameDelta(
  found: LoraFile,
  wanted: LoraFile,
  rename: (path: string) => string = (path) => path,
): void {
  expect(found.modules.map(({ path }) => path).sort()).toEqual(
    wanted.modules.map(({ path }) => rename(path)).sort(),
  );
  for (const module of wanted.modules) {
    const other = found.modules.find(({ path }) => path === rename(module.path))!;
    const [a, b] = [deltaWeight(other), deltaWeight(module)];
    expect(a.shape, module.path).toEqual(b.shape);
    const largest = b.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(largest, module.path).toBeGreaterThan(0);
    const error = b.data.reduce((most, value, i) => Math.max(most, Math.abs(value - a.data[i]!)), 0);
    // Scales, alphas and folded factors are rounded to float32 a few times on the way: 4 roundings of 2^-24, doubled.
    expect(error, module.path).toBeLessThanOrEqual(largest * 8 * 2 ** -24 * module.r);
  }
}

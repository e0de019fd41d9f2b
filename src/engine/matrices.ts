/**
 * Kernels over whole matrices as the operations call them: operands as records, laid out here as the kernels' bare numbers.
 * Vectors are addresses of as many elements as the matrix has rows or columns; 0 stands for one that is absent. The three
 * products of a layer are in `products.ts`, those of an adapter's factors in `skinny.ts`. Called by `ops` and `lora`.
 */
import { DTYPE_INFO, rowBytes, type WeightDType } from '../values/dtypes.js';
import type { Kernels } from './abi.js';
import type { Matrix, Weight } from './operands.js';
import type { ScratchSource } from './sharing.js';

/** What a kernel with scratch needs. */
type Scratch = Pick<ScratchSource, 'kernels' | 'scratch'>;

/** A run of a weight's elements: `count` from element `from` on, of what begins at `pointer`. */
export interface Elements {
  readonly pointer: number;
  readonly dtype: WeightDType;
  readonly from: number;
  readonly count: number;
}

/** out = the elements as float32. */
export function expandTo(engine: Scratch, elements: Elements, out: number): void {
  const { pointer, dtype, from, count } = elements;
  if (dtype === 'f32') engine.kernels.scale(count, 1, pointer + rowBytes(from, dtype), out);
  else expandBeside(engine.kernels, elements, engine.scratch(4), out);
}

/** The same by the lookup of a table's only row, which the elements are. @param index - address of four bytes to use */
export function expandBeside(
  kernels: Kernels,
  { pointer, dtype, from, count }: Elements,
  index: number,
  out: number,
): void {
  const at = pointer + rowBytes(from, dtype);
  kernels.fill(1, 0, index);
  kernels.gatherRows(1, count, index, DTYPE_INFO[dtype].code, at, rowBytes(count, dtype), out, count);
}

/** A gradient's place as a vector, and whether it is added to. */
export interface GradientVector {
  readonly pointer: number;
  readonly accumulate: 0 | 1;
}

/** A gradient's place as a matrix. */
export interface GradientMatrix extends Matrix, GradientVector {}

/** A place as a matrix whose rows follow one another. */
export function gradientMatrix(
  { pointer, accumulate }: GradientVector,
  rows: number,
  columns: number,
): GradientMatrix {
  return { pointer, rows, columns, stride: columns, accumulate };
}

/** A matrix as a gradient's place that is not added to. */
export function overwritten({ pointer, rows, columns, stride }: Matrix): GradientMatrix {
  return { pointer, rows, columns, stride, accumulate: 0 };
}

/** to = s·from, of one size. */
export function scaleTo(k: Kernels, s: number, from: Matrix, to: Matrix): void {
  k.loraScaleB(from.rows, from.columns, s, from.pointer, from.stride, to.pointer, to.stride);
}

/** y[N,M] = s·x[M,N]ᵀ. */
export function transposeTo(k: Kernels, s: number, x: Matrix, y: Matrix): void {
  k.transposeScaled(x.rows, x.columns, s, x.pointer, x.stride, y.pointer, y.stride);
}

/** out[N,K] = w + s·B·A; w may be null (the delta alone) or lie where out does. */
export function addProduct(
  k: Kernels,
  { s, b, a, w, out }: { s: number; b: Matrix; a: Matrix; w: Matrix | null; out: Matrix },
): void {
  const { rows: N, columns: K, pointer: to, stride: ldo } = out;
  const { columns: R, pointer: pb, stride: ldb } = b;
  k.loraMerge(N, K, R, s, pb, ldb, a.pointer, a.stride, w?.pointer ?? 0, w?.stride ?? K, to, ldo);
}

/** y[m,n] = scale[n]·x[m,n] + shift[n]; y may be x. */
export function affineColumns(
  k: Kernels,
  { x, scale, shift, y }: { x: Matrix; scale: number; shift: number; y: Matrix },
): void {
  k.affineColumns(x.rows, x.columns, x.pointer, x.stride, scale, shift, y.pointer, y.stride);
}

/** y[m,n] = scale[m]·x[m,n] + shift[m]; y may be x. */
export function affineRows(
  k: Kernels,
  { x, scale, shift, y }: { x: Matrix; scale: number; shift: number; y: Matrix },
): void {
  k.affineRows(x.rows, x.columns, x.pointer, x.stride, scale, shift, y.pointer, y.stride);
}

/** out[m] = ‖x[m,:]‖. */
export function rowNorms(k: Kernels, x: Matrix, out: number): void {
  k.rowNorms(x.rows, x.columns, x.pointer, x.stride, out);
}

/** sums[n] += Σ_m x[m,n]², float64 sums of which `rootOfSums` makes norms. */
export function addColumnSquares(k: Kernels, x: Matrix, sums: number): void {
  k.columnSquares(x.rows, x.columns, x.pointer, x.stride, sums);
}

/** out[n] (+)= w[n]·Σ_m a[m,n]·b[m,n]. */
export function dotColumns(k: Kernels, a: Matrix, b: Matrix, w: number, out: GradientVector): void {
  const { rows: M, columns: N, pointer, stride } = a;
  k.dotColumns(M, N, pointer, stride, b.pointer, b.stride, w, out.accumulate, out.pointer);
}

/** out[m] (+)= w[m]·Σ_n a[m,n]·b[m,n]; without b the sums of a. */
export function dotRows(k: Kernels, a: Matrix, b: Matrix | null, w: number, out: GradientVector): void {
  const { rows: M, columns: N, pointer, stride } = a;
  k.dotRows(M, N, pointer, stride, b?.pointer ?? 0, b?.stride ?? 0, w, out.accumulate, out.pointer);
}

/** out[n] (+)= Σ_m x[m,n]. */
export function sumRows(k: Kernels, x: Matrix, out: GradientVector): void {
  k.sumRows(x.rows, x.columns, x.pointer, x.stride, out.accumulate, out.pointer);
}

/** y[m,:] = table[ids[m],:]; ids int32, each within the table. */
export function gatherRows(k: Kernels, ids: number, table: Weight, y: Matrix): void {
  k.gatherRows(y.rows, y.columns, ids, table.code, table.pointer, table.step, y.pointer, y.stride);
}

/** table[ids[m],:] += x[m,:], but for rows whose id is `skip` (-1: none). */
export function scatterAddRows(k: Kernels, ids: number, skip: number, x: Matrix, table: Matrix): void {
  k.scatterAddRows(x.rows, x.columns, ids, skip, x.pointer, x.stride, table.pointer, table.stride);
}

/** h[m,r] = a[r, ids[m]]. */
export function gatherColumns(k: Kernels, ids: number, a: Matrix, h: Matrix): void {
  k.gatherColumns(h.rows, h.columns, ids, a.pointer, a.stride, h.pointer, h.stride);
}

/** a[r, ids[m]] += u[m,r], but for rows whose id is `skip` (-1: none). */
export function scatterAddColumns(k: Kernels, ids: number, skip: number, u: Matrix, a: Matrix): void {
  k.scatterAddColumns(u.rows, u.columns, ids, skip, u.pointer, u.stride, a.pointer, a.stride);
}

/** y = (x - mean)·rstd ⊙ gamma + beta of every row, and stats[M,2]: mean and rstd = 1/√(variance + eps). */
export function normalise(
  k: Kernels,
  eps: number,
  { x, gamma, beta, y, stats }: { x: Matrix; gamma: number; beta: number; y: Matrix; stats: number },
): void {
  const { rows: M, columns: N, pointer, stride } = x;
  k.layerNormForward(M, N, eps, pointer, stride, gamma, beta, y.pointer, y.stride, stats);
}

/** What the backward of a normalisation of rows reads. */
export interface Normalised {
  readonly x: Matrix;
  readonly stats: number;
  readonly dy: Matrix;
}

/** dgamma (+)= Σ_m dy ⊙ (x - mean)·rstd. */
export function layerNormGamma(k: Kernels, { x, stats, dy }: Normalised, to: GradientVector): void {
  const { rows: M, columns: N, pointer, stride } = x;
  const { accumulate, pointer: out } = to;
  k.layerNormBackwardGamma(M, N, pointer, stride, stats, dy.pointer, dy.stride, accumulate, out);
}

/** dx of a layer normalisation. */
export function layerNormGradient(
  k: Kernels,
  { x, gamma, stats, dy }: Normalised & { gamma: number },
  dx: GradientMatrix,
): void {
  const { rows: M, columns: N, pointer, stride } = x;
  const { accumulate, pointer: to, stride: ldd } = dx;
  const { pointer: pg, stride: ldg } = dy;
  k.layerNormBackward(M, N, pointer, stride, gamma, stats, pg, ldg, accumulate, to, ldd);
}

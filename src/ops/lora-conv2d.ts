/**
 * LoRA over a convolution: y = g ⊙ (x ⋆ W + Σ sᵢ·(mᵢ(x) ⋆ Aᵢ) ⋆ Bᵢ) + b. A has the base's window, stride, padding and
 * dilation and sees every channel; B is 1x1 with the base's groups, as in PEFT. Image by image over the columns; the
 * ranks of a group and the bias are the last steps of its product. Called by `lora`; `lora-conv2d-backward` is its other half.
 */
import { affineRows, scaleTo } from '../engine/matrices.js';
import { columnsOf, type LowRank, matrix, NO_RANK } from '../engine/operands.js';
import { down } from '../engine/skinny.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Conv2dOperationOptions, type ConvSizes, checkConv2d, imageColumns } from './conv-sizes.js';
import { type ConvGroup, convolve } from './conv2d.js';
import { elementsOf, expandElements } from './expanded.js';
import { backwardLoraConv } from './lora-conv2d-backward.js';
import { type Dora, drop, type LoraTerm, totalBias } from './lora-terms.js';

/** Ranks of one group: those of every term, and one more for the bias where the product adds it. */
export interface ConvRanks {
  /** Each term's rank of one group. */
  readonly ranks: readonly number[];
  /** First column of each term within a group's columns. */
  readonly columns: readonly number[];
  /** Columns of one group. */
  readonly width: number;
}

/** The base convolution that is adapted. */
export interface ConvBase {
  /** [out, in/groups, kh, kw] */
  readonly weight: Tensor;
  /** [out] or null */
  readonly bias: Tensor | null;
  readonly options: Conv2dOperationOptions;
}

/** An operation: its sizes, its terms and how their ranks lie. */
export interface AdaptedConv {
  readonly s: ConvSizes;
  readonly terms: readonly LoraTerm[];
  readonly ranks: ConvRanks;
}

/**
 * @param x - [batch, in, h, w] or [in, h, w] float32
 * @param terms - A [r, in, kh, kw], B [out, r/groups, 1, 1]
 * @param dora - with it there is one term
 */
export function loraConv2d(
  where: string,
  x: Tensor,
  { weight, bias, options }: ConvBase,
  terms: readonly LoraTerm[],
  dora: Dora | null,
): Tensor {
  const s = checkConv2d(where, x, weight, bias, options);
  const { rt, B, O, P } = s;
  return rt.attempt(() => {
    const make = (shape: readonly number[]): Tensor => rt.empty(shape, 'f32');
    const shift = totalBias(rt, O, bias, terms);
    // The product adds the bias, unless DoRA scales it first.
    const added = dora === null ? shift : null;
    const conv: AdaptedConv = { s, terms, ranks: ranksOf(s, terms, added !== null) };
    const y = make(s.outShape);
    const z = dora === null ? y : make(s.outShape);
    const h = make([B, P, conv.ranks.width * s.groups]);
    const masked = terms.map((term) => maskedImages(s, term, x));
    const base = dora === null ? x : (masked[0] ?? x);
    const whole = expanded(s, weight);
    images(conv, { x, base, masked, weight: whole, bias: added, h, z });
    const g = dora === null ? null : make([O]);
    if (dora !== null && g !== null) {
      rt.engine.kernels.quotient(O, dora.magnitude.pointer, dora.norms.pointer, g.pointer);
      scaleOutputs(s, { z, g, shift, y });
      const dropped = masked[0] ?? null;
      if (dropped !== null) addDropped(s, { x, masked: dropped, weight: whole, y });
    }
    const [factorsA, factorsB] = [terms.map((term) => term.A), terms.map((term) => term.B)];
    rt.record(y, {
      name: where,
      inputs: {
        ...{ x, weight, bias, magnitude: dora?.magnitude ?? null },
        ...{ A: factorsA, B: factorsB, loraBias: terms.map((term) => term.bias) },
      },
      keep: {
        ...{ x, weight, h, A: factorsA, B: factorsB },
        ...{ g, z: dora === null ? null : z, norms: dora?.norms ?? null },
      },
      backward: (context) => backwardLoraConv(conv, dora !== null, context),
    });
    for (const tensor of [
      h,
      g,
      g === null ? null : z,
      ...masked,
      shift === bias ? null : shift,
      whole === weight ? null : whole,
    ])
      tensor?.dispose();
    return y;
  });
}

/** The weight as float32: itself, or a copy. */
function expanded({ rt }: ConvSizes, weight: Tensor): Tensor {
  if (weight.dtype === 'f32') return weight;
  const whole = rt.empty(weight.shape, 'f32');
  expandElements(rt, elementsOf(weight), whole.pointer);
  return whole;
}

/** The images that a term's mask leaves; null without dropout. */
function maskedImages({ rt, B, C, H, W }: ConvSizes, term: LoraTerm, x: Tensor): Tensor | null {
  if (term.dropout === 0) return null;
  const copy = rt.empty([B, C, H, W], 'f32');
  drop(rt, term, copy.size, x.pointer, { pointer: copy.pointer, accumulate: 0 });
  return copy;
}

interface ImageTensors {
  readonly x: Tensor;
  /** What the base sees: x, or with DoRA what the mask left of it. */
  readonly base: Tensor;
  /** What each term sees, null for x. */
  readonly masked: readonly (Tensor | null)[];
  readonly weight: Tensor;
  /** Added in the product, or null. */
  readonly bias: Tensor | null;
  /** [batch, positions, ranks of all groups] */
  readonly h: Tensor;
  readonly z: Tensor;
}

/** Image by image: the hidden rows of every term, then the product that goes on over them. */
function images({ s, terms, ranks }: AdaptedConv, tensors: ImageTensors): void {
  const { rt, B, P, columns, groups } = s;
  const { x, base, masked, weight, bias, h, z } = tensors;
  const R = ranks.width * groups;
  const b = stackedB(s, terms, ranks, bias);
  const cols = rt.empty([P, columns], 'f32');
  for (let image = 0; image < B; image++) {
    const hidden = matrix(h.pointer + 4 * image * P * R, P, R);
    if (bias !== null)
      for (let g = 1; g <= groups; g++) fillColumn(s, hidden.pointer, R, g * ranks.width - 1);
    // The columns of one source are made once: undropped terms share them with the base.
    let held: Tensor | null = null;
    const fill = (source: Tensor): void => {
      if (held !== source) imageColumns(s, source.pointer, image, cols.pointer);
      held = source;
    };
    for (const [i, { A }] of terms.entries()) {
      fill(masked[i] ?? x);
      const r = ranks.ranks[i]!;
      for (let g = 0; g < groups; g++) {
        const a = matrix(A.pointer + 4 * g * r * columns, r, columns);
        const to = columnsOf(hidden, g * ranks.width + ranks.columns[i]!, r);
        down(rt.engine, { x: matrix(cols.pointer, P, columns), a, h: to });
      }
    }
    fill(base);
    const low = ({ group, channel }: ConvGroup): LowRank => ({
      left: matrix(b.pointer + 4 * channel * ranks.width, s.groupOutputs, ranks.width),
      right: columnsOf(hidden, group * ranks.width, ranks.width),
    });
    convolve(s, image, { weight: weight.pointer, cols: cols.pointer, y: z.pointer }, low);
  }
  cols.dispose();
  b.dispose();
}

/** y = g ⊙ z + shift, output by output. */
function scaleOutputs(
  { rt, B, O, P }: ConvSizes,
  { z, g, shift, y }: { z: Tensor; g: Tensor; shift: Tensor | null; y: Tensor },
): void {
  for (let image = 0; image < B; image++) {
    const plane = 4 * image * O * P;
    const [from, to] = [matrix(z.pointer + plane, O, P), matrix(y.pointer + plane, O, P)];
    affineRows(rt.engine.kernels, { x: from, scale: g.pointer, shift: shift?.pointer ?? 0, y: to });
  }
}

function ranksOf(s: ConvSizes, terms: readonly LoraTerm[], withBias: boolean): ConvRanks {
  const ranks = terms.map(({ A }) => A.shape[0]! / s.groups);
  const columns: number[] = [];
  let width = 0;
  for (const r of ranks) {
    columns.push(width);
    width += r;
  }
  return { ranks, columns, width: width + (withBias ? 1 : 0) };
}

/** The scaled B of every group and term side by side, [O, width], the bias last. */
function stackedB(
  s: ConvSizes,
  terms: readonly LoraTerm[],
  { ranks, columns, width }: ConvRanks,
  bias: Tensor | null,
): Tensor {
  const { rt, O } = s;
  const b = rt.empty([O, width], 'f32');
  const all = matrix(b.pointer, O, width);
  for (const [i, { B, scaling }] of terms.entries()) {
    const r = ranks[i]!;
    scaleTo(rt.engine.kernels, scaling, matrix(B.pointer, O, r), columnsOf(all, columns[i]!, r));
  }
  if (bias !== null) scaleTo(rt.engine.kernels, 1, matrix(bias.pointer, O, 1), columnsOf(all, width - 1, 1));
  return b;
}

/** Ones in a column: what the bias is multiplied by. */
function fillColumn({ rt, P }: ConvSizes, matrix: number, ld: number, column: number): void {
  const values = rt.engine.f32();
  for (let p = 0, at = matrix / 4 + column; p < P; p++, at += ld) values[at] = 1;
}

/** y += (x - x̃) ⋆ W: with DoRA the base keeps what dropout took from the branch. `masked` is overwritten. */
function addDropped(
  s: ConvSizes,
  { x, masked, weight, y }: { x: Tensor; masked: Tensor; weight: Tensor; y: Tensor },
): void {
  const { kernels } = s.rt.engine;
  const part = s.rt.empty(s.outShape, 'f32');
  const cols = s.rt.empty([s.P, s.columns], 'f32');
  kernels.sub(masked.size, x.pointer, masked.pointer, masked.pointer);
  for (let image = 0; image < s.B; image++) {
    imageColumns(s, masked.pointer, image, cols.pointer);
    const operands = { weight: weight.pointer, cols: cols.pointer, y: part.pointer };
    convolve(s, image, operands, () => NO_RANK);
  }
  kernels.axpy(y.size, 1, part.pointer, y.pointer);
  cols.dispose();
  part.dispose();
}

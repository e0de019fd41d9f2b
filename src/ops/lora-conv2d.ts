/**
 * LoRA over a convolution: y = g ⊙ (x ⋆ W + Σ sᵢ·(mᵢ(x) ⋆ Aᵢ) ⋆ Bᵢ) + b. A has the base's window, stride, padding and
 * dilation and sees every channel; B is 1x1 with the base's groups, as in PEFT. Image by image over the columns; the
 * ranks of a group and the bias are the last steps of its product. Called by `lora`; `lora-conv2d-backward` is its other half.
 */
import type { Tensor } from '../tensor/tensor.js';
import { type Conv2dOperationOptions, type ConvSizes, checkConv2d, imageColumns } from './conv-sizes.js';
import { forEachGroup } from './conv2d.js';
import { backwardLoraConv } from './lora-conv2d-backward.js';
import { addressOf, type Dora, drop, type LoraTerm, totalBias } from './lora-terms.js';

/** Ranks of one group: those of every term, and one more for the bias where the product adds it. */
export interface ConvRanks {
  /** Each term's rank of one group. */
  readonly ranks: readonly number[];
  /** First column of each term within a group's columns. */
  readonly columns: readonly number[];
  /** Columns of one group. */
  readonly width: number;
}

/**
 * @param x - [batch, in, h, w] or [in, h, w] float32
 * @param weight - [out, in/groups, kh, kw]
 * @param terms - A [r, in, kh, kw], B [out, r/groups, 1, 1]
 * @param dora - with it there is one term
 */
export function loraConv2d(
  where: string,
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  options: Conv2dOperationOptions,
  terms: readonly LoraTerm[],
  dora: Dora | null,
): Tensor {
  const s = checkConv2d(where, x, weight, bias, options);
  const { rt, B, C, H, W, O, P, columns } = s;
  const { kernels } = rt.engine;
  return rt.attempt(() => {
    const make = (shape: readonly number[]): Tensor => rt.empty(shape, 'f32');
    const shift = totalBias(rt, O, bias, terms);
    const inProduct = shift !== null && dora === null;
    const layout = ranksOf(s, terms, inProduct);
    const R = layout.width * s.groups;
    const b = stackedB(s, terms, layout, inProduct ? shift : null);
    const y = rt.empty(s.outShape, 'f32');
    const z = dora === null ? y : make(s.outShape);
    const h = make([B, P, R]);
    const cols = make([P, columns]);
    const masked = terms.map((term) => {
      if (term.dropout === 0) return null;
      const copy = make([B, C, H, W]);
      drop(rt, term, copy.size, x.pointer, 0, copy.pointer);
      return copy;
    });
    const base = dora === null ? x.pointer : (masked[0]?.pointer ?? x.pointer);
    for (let image = 0; image < B; image++) {
      const hidden = h.pointer + image * P * R * 4;
      if (inProduct) for (let g = 1; g <= s.groups; g++) fillColumn(s, hidden, R, g * layout.width - 1);
      // The columns of one source are made once: undropped terms share them with the base.
      let held = 0;
      const fill = (source: number): void => {
        if (held !== source) imageColumns(s, source, image, cols.pointer);
        held = source;
      };
      for (const [i, { A }] of terms.entries()) {
        fill(masked[i]?.pointer ?? x.pointer);
        const r = layout.ranks[i]!;
        for (let g = 0; g < s.groups; g++) {
          const to = hidden + 4 * (g * layout.width + layout.columns[i]!);
          kernels.loraDown(
            P,
            columns,
            r,
            cols.pointer,
            columns,
            A.pointer + 4 * g * r * columns,
            columns,
            to,
            R,
          );
        }
      }
      fill(base);
      convolve(s, weight.pointer, cols.pointer, image, z.pointer, {
        left: b.pointer,
        right: hidden,
        width: layout.width,
        R,
      });
    }
    const g = dora === null ? null : make([O]);
    if (dora !== null && g !== null) {
      kernels.quotient(O, dora.magnitude.pointer, dora.norms.pointer, g.pointer);
      for (let image = 0; image < B; image++)
        kernels.affineRows(
          ...([O, P, z.pointer + image * O * P * 4, P] as const),
          ...([g.pointer, shift?.pointer ?? 0, y.pointer + image * O * P * 4, P] as const),
        );
      if (masked[0] !== null && masked[0] !== undefined) addDropped(s, x, masked[0], weight, cols, y);
    }
    const made = [h, ...(g === null ? [] : [g, z])];
    rt.record(y, {
      name: where,
      inputs: [x, weight, bias, dora?.magnitude ?? null, ...terms.flatMap((t) => [t.A, t.B, t.bias])],
      saved: [
        x,
        weight,
        ...made,
        ...(dora === null ? [] : [dora.norms]),
        ...terms.flatMap((t) => [t.A, t.B]),
      ],
      backward: backwardLoraConv(s, terms, layout, {
        x: addressOf(x),
        weight: addressOf(weight),
        h: addressOf(h),
        A: terms.map((term) => addressOf(term.A)),
        B: terms.map((term) => addressOf(term.B)),
        dora: dora === null ? null : { g: addressOf(g!), z: addressOf(z), norms: addressOf(dora.norms) },
      }),
    });
    for (const tensor of [...made, cols, b, ...masked, shift === bias ? null : shift]) tensor?.dispose();
    return y;
  });
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
  for (const [i, { B, scaling }] of terms.entries()) {
    const r = ranks[i]!;
    rt.engine.kernels.loraScaleB(O, r, scaling, B.pointer, r, b.pointer + 4 * columns[i]!, width);
  }
  if (bias !== null)
    rt.engine.kernels.loraScaleB(O, 1, 1, bias.pointer, 1, b.pointer + 4 * (width - 1), width);
  return b;
}

/** Ones in a column: what the bias is multiplied by. */
function fillColumn({ rt, P }: ConvSizes, matrix: number, ld: number, column: number): void {
  const values = rt.engine.f32();
  for (let p = 0, at = matrix / 4 + column; p < P; p++, at += ld) values[at] = 1;
}

/** One image's y = W·colsᵀ, continued by the groups' ranks. */
function convolve(
  s: ConvSizes,
  weight: number,
  cols: number,
  image: number,
  y: number,
  low: { readonly left: number; readonly right: number; readonly width: number; readonly R: number },
): void {
  const { width, R } = low;
  forEachGroup(s, image, (output, w, column, channel) => {
    const group = channel / 4 / s.groupOutputs;
    s.rt.engine.products.forward(
      ...([s.groupOutputs, s.P, s.groupColumns, width] as const),
      ...([weight + w, s.groupColumns, cols + column, s.columns] as const),
      ...([low.left + channel * width, width, low.right + 4 * group * width, R] as const),
      ...([0, 0, y + output, s.P] as const),
    );
  });
}

/** y += (x - x̃) ⋆ W: with DoRA the base keeps what dropout took from the branch. */
function addDropped(s: ConvSizes, x: Tensor, masked: Tensor, weight: Tensor, cols: Tensor, y: Tensor): void {
  const { kernels } = s.rt.engine;
  const part = s.rt.empty(s.outShape, 'f32');
  kernels.sub(masked.size, x.pointer, masked.pointer, masked.pointer);
  for (let image = 0; image < s.B; image++) {
    imageColumns(s, masked.pointer, image, cols.pointer);
    convolve(s, weight.pointer, cols.pointer, image, part.pointer, { left: 0, right: 0, width: 0, R: 0 });
  }
  kernels.axpy(y.size, 1, part.pointer, y.pointer);
  part.dispose();
}

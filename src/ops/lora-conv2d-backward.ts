/** The backward of a LoRA convolution, image by image; the columns are made anew. */
import type { BackwardContext } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import { addColumns, type ConvSizes, imageColumns } from './conv-sizes.js';
import { backwardConvBias, backwardConvInput, forEachGroup } from './conv2d.js';
import type { ConvRanks } from './lora-conv2d.js';
import { drop, type LoraTerm, withInverse, withMasked } from './lora-terms.js';

type Address = () => number;

/** Where backward finds what forward saved. */
export interface ConvSaved {
  readonly x: Address;
  readonly weight: Address;
  /** [batch, positions, ranks of all groups] */
  readonly h: Address;
  readonly A: readonly Address[];
  readonly B: readonly Address[];
  readonly dora: { readonly g: Address; readonly z: Address; readonly norms: Address } | null;
}

/** Places of the inputs: x, weight, bias, magnitude, then A, B and bias of each term. */
const [X, WEIGHT, BIAS, MAGNITUDE, FACTORS, PER_TERM] = [0, 1, 2, 3, 4, 3] as const;

export function backwardLoraConv(
  s: ConvSizes,
  terms: readonly LoraTerm[],
  layout: ConvRanks,
  at: ConvSaved,
): (context: BackwardContext) => void {
  const { rt, B, C, H, W, O, P } = s;
  const { kernels } = rt.engine;
  return (context) => {
    const { dy, target, wants } = context;
    backwardConvBias(s, context, BIAS);
    const dz = at.dora === null ? dy : rt.empty(s.outShape, 'f32');
    if (at.dora !== null) {
      const plane = O * P * 4;
      for (let b = 0; b < B; b++)
        kernels.affineRows(O, P, dy.pointer + b * plane, P, at.dora.g(), 0, dz.pointer + b * plane, P);
      magnitudeGradient(s, context, at.dora.z(), at.dora.norms());
    }
    for (const [i, term] of terms.entries())
      biasGradient(s, context, FACTORS + PER_TERM * i + 2, term.scaling);
    weightGradient(s, context, terms, at, dz);
    const wantsX = wants(X);
    const dx = target(X);
    const images = B * C * H * W;
    if (dx !== null) {
      if (dx.accumulate === 0) kernels.fill(images, 0, dx.pointer);
      // With DoRA and dropout, dz meets W on the dropped branch alone: the rest of x meets dy.
      const split = at.dora !== null && terms[0]!.dropout > 0;
      const whole = split ? dy : dz;
      const place = { pointer: dx.pointer, accumulate: 1 as const };
      backwardConvInput(s, { ...context, dy: whole, target: () => place }, X, at.weight());
      if (split) {
        const branch = rt.full([images], 0);
        const [to, minus] = [
          { pointer: branch.pointer, accumulate: 1 as const },
          rt.empty(s.outShape, 'f32'),
        ];
        kernels.sub(minus.size, dz.pointer, dy.pointer, minus.pointer);
        backwardConvInput(s, { ...context, dy: minus, target: () => to }, X, at.weight());
        drop(rt, terms[0]!, images, branch.pointer, 1, dx.pointer);
        branch.dispose();
        minus.dispose();
      }
    }
    for (const [i, term] of terms.entries())
      termGradients(s, context, term, i, layout, at, dz, wantsX ? dx!.pointer : 0);
    if (dz !== dy) dz.dispose();
  };
}

/** dm = Σ dy·z / ‖V‖ an output. */
function magnitudeGradient(s: ConvSizes, { dy, target }: BackwardContext, z: number, norms: number): void {
  const { rt, B, O, P } = s;
  const { kernels } = rt.engine;
  const dm = target(MAGNITUDE);
  if (dm === null) return;
  withInverse(rt, O, norms, (w) => {
    for (let b = 0; b < B; b++) {
      const plane = b * O * P * 4;
      const accumulate = b === 0 ? dm.accumulate : 1;
      kernels.dotRows(O, P, dy.pointer + plane, P, z + plane, P, w, accumulate, dm.pointer);
    }
  });
}

/** d(lora_B.bias) = scaling·Σ dy. */
function biasGradient(s: ConvSizes, { dy, target }: BackwardContext, i: number, scaling: number): void {
  const { rt, B, O, P } = s;
  const db = target(i);
  if (db === null) return;
  const { kernels } = rt.engine;
  const share = rt.empty([O], 'f32');
  kernels.fill(O, scaling, share.pointer);
  for (let b = 0; b < B; b++)
    kernels.dotRows(
      ...([O, P, dy.pointer + b * O * P * 4, P, 0, 0, share.pointer] as const),
      ...([b === 0 ? db.accumulate : 1, db.pointer] as const),
    );
  share.dispose();
}

/** dW = Σ dz·cols; with DoRA and dropout dz meets the dropped x, dy the rest. */
function weightGradient(
  s: ConvSizes,
  context: BackwardContext,
  terms: readonly LoraTerm[],
  at: ConvSaved,
  dz: Tensor,
): void {
  const { rt, B, C, H, W } = s;
  const dw = context.target(WEIGHT);
  if (dw === null) return;
  const { kernels, products } = rt.engine;
  if (dw.accumulate === 0) kernels.fill(s.O * s.groupColumns, 0, dw.pointer);
  const cols = rt.empty([s.P, s.columns], 'f32');
  const add = (gradient: number, x: number): void => {
    for (let b = 0; b < B; b++) {
      imageColumns(s, x, b, cols.pointer);
      forEachGroup(s, b, (output, w, column) => {
        products.backwardInput(
          ...([s.groupOutputs, s.P, s.groupColumns, 0, gradient + output, s.P] as const),
          ...([cols.pointer + column, s.columns, 0, 0, 0, 0, 1, dw.pointer + w, s.groupColumns] as const),
        );
      });
    }
  };
  const first = terms[0];
  if (at.dora === null || first === undefined || first.dropout === 0) add(dz.pointer, at.x());
  else
    withMasked(rt, first, B * C * H * W, at.x(), (masked) => {
      add(dz.pointer, masked);
      kernels.sub(B * C * H * W, at.x(), masked, masked);
      add(context.dy.pointer, masked);
    });
  cols.dispose();
}

/** Gradients of one term's A and B, and its part of dx, added at `dx` unless that is 0. */
function termGradients(
  s: ConvSizes,
  { target, wants }: BackwardContext,
  term: LoraTerm,
  i: number,
  layout: ConvRanks,
  at: ConvSaved,
  dz: Tensor,
  dx: number,
): void {
  const { rt, B, C, H, W, O, P, columns } = s;
  const { kernels, products } = rt.engine;
  const rg = layout.ranks[i]!;
  const r = rg * s.groups;
  const R = layout.width * s.groups;
  const { scaling, dropout } = term;
  const wantsA = wants(FACTORS + PER_TERM * i);
  const dA = wantsA ? target(FACTORS + PER_TERM * i)! : null;
  const dB = target(FACTORS + PER_TERM * i + 1);
  if (dA === null && dB === null && dx === 0) return;
  if (dA !== null && dA.accumulate === 0) kernels.fill(r * columns, 0, dA.pointer);
  if (dB !== null && dB.accumulate === 0) kernels.fill(O * rg, 0, dB.pointer);
  const [u, part, cols] = [rt.empty([P, r], 'f32'), rt.empty([O, rg], 'f32'), rt.empty([P, columns], 'f32')];
  const branch = dx !== 0 && dropout > 0 ? rt.full([B * C * H * W], 0) : null;
  withMasked(rt, term, B * C * H * W, at.x(), (masked) => {
    for (let b = 0; b < B; b++) {
      forEachGroup(s, b, (output, _, __, channel) => {
        const group = channel / 4 / s.groupOutputs;
        const g = dz.pointer + output;
        const rows = channel * rg;
        kernels.loraGradB(
          s.groupOutputs,
          P,
          rg,
          scaling,
          g,
          P,
          at.B[i]!() + rows,
          rg,
          0,
          u.pointer + 4 * group * rg,
          r,
          rt.engine.scratch(4 * P * rg),
        );
        if (dB === null) return;
        const h = at.h() + 4 * (b * P * R + group * layout.width + layout.columns[i]!);
        kernels.loraBackwardHidden(
          s.groupOutputs,
          P,
          rg,
          scaling,
          g,
          P,
          h,
          R,
          part.pointer + rows,
          rg,
          rt.engine.scratch(4 * P * rg),
        );
      });
      if (dB !== null) kernels.axpy(O * rg, 1, part.pointer, dB.pointer);
      if (dA !== null) {
        imageColumns(s, masked, b, cols.pointer);
        kernels.loraGradA(P, columns, r, u.pointer, r, cols.pointer, columns, 1, dA.pointer, columns);
      }
      if (dx === 0) continue;
      products.backwardInput(
        P,
        0,
        columns,
        r,
        0,
        0,
        0,
        columns,
        u.pointer,
        r,
        at.A[i]!(),
        columns,
        0,
        cols.pointer,
        columns,
      );
      addColumns(s, cols.pointer, branch?.pointer ?? dx, b);
    }
  });
  if (branch !== null) {
    drop(rt, term, B * C * H * W, branch.pointer, 1, dx);
    branch.dispose();
  }
  for (const tensor of [u, part, cols]) tensor.dispose();
}

/** The backward of a LoRA convolution, image by image; the columns are made anew. */
import { affineRows, dotRows, gradientMatrix, overwritten } from '../engine/matrices.js';
import { columnsOf, matrix, NO_RANK } from '../engine/operands.js';
import { gradA, gradB, hiddenGradient } from '../engine/skinny.js';
import type { BackwardContext, GradTarget } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import { addColumns, type ConvSizes, imageColumns, withWeight } from './conv-sizes.js';
import { type ConvGroup, convBiasGradient, convInputGradient, forEachGroup } from './conv2d.js';
import { lowRankGradient } from './linear-products.js';
import type { AdaptedConv } from './lora-conv2d.js';
import { drop, withInverse, withMasked } from './lora-terms.js';

type Context = BackwardContext<
  { readonly [name in 'x' | 'weight' | 'bias' | 'magnitude']: Tensor | null } & {
    readonly [name in 'A' | 'B' | 'loraBias']: readonly (Tensor | null)[];
  },
  { readonly [name in 'x' | 'weight' | 'h' | 'g' | 'z' | 'norms']: Tensor | null } & {
    readonly [name in 'A' | 'B']: readonly Tensor[];
  }
>;

/** Elements of all images. */
const imagesOf = ({ B, C, H, W }: ConvSizes): number => B * C * H * W;

export function backwardLoraConv(conv: AdaptedConv, isDora: boolean, context: Context): void {
  const { s, terms } = conv;
  const { rt } = s;
  const { dy, grad } = context;
  const db = grad('bias');
  if (db !== null) convBiasGradient(s, dy.pointer, db);
  const dz = isDora ? scaledGradient(s, context) : dy;
  for (const [i, term] of terms.entries()) {
    const dBias = grad('loraBias', i);
    if (dBias !== null) loraBiasGradient(s, dy.pointer, term.scaling, dBias);
  }
  const flow = { dy: dy.pointer, dz: dz.pointer };
  const dw = grad('weight');
  if (dw !== null) weightGradient(conv, context, flow, dw, isDora);
  const dx = grad('x');
  if (dx !== null) {
    if (dx.accumulate === 0) rt.engine.kernels.fill(imagesOf(s), 0, dx.pointer);
    baseInputGradient(conv, context, flow, dx, isDora);
  }
  for (let i = 0; i < terms.length; i++) termGradients(conv, i, context, flow.dz, dx?.pointer ?? 0);
  if (dz !== dy) dz.dispose();
}

/** Addresses of the output's gradient, and of the same scaled by DoRA's g. */
interface Flow {
  readonly dy: number;
  readonly dz: number;
}

/** dz = g ⊙ dy, and the magnitude's gradient dm (+)= Σ dy·z / ‖V‖ an output. */
function scaledGradient(s: ConvSizes, { dy, at, grad }: Context): Tensor {
  const { rt, B, O, P } = s;
  const { kernels } = rt.engine;
  const dz = rt.empty(s.outShape, 'f32');
  const plane = (tensor: number, image: number) => matrix(tensor + 4 * image * O * P, O, P);
  for (let b = 0; b < B; b++)
    affineRows(kernels, { x: plane(dy.pointer, b), scale: at('g'), shift: 0, y: plane(dz.pointer, b) });
  const dm = grad('magnitude');
  if (dm !== null)
    withInverse(rt, O, at('norms'), (w) => {
      for (let b = 0; b < B; b++) {
        const accumulate = b === 0 ? dm.accumulate : 1;
        dotRows(kernels, plane(dy.pointer, b), plane(at('z'), b), w, { pointer: dm.pointer, accumulate });
      }
    });
  return dz;
}

/** d(lora_B.bias) (+)= scaling·Σ dy. */
function loraBiasGradient({ rt, B, O, P }: ConvSizes, dy: number, scaling: number, to: GradTarget): void {
  const { kernels } = rt.engine;
  const share = rt.empty([O], 'f32');
  kernels.fill(O, scaling, share.pointer);
  for (let b = 0; b < B; b++) {
    const accumulate = b === 0 ? to.accumulate : 1;
    dotRows(kernels, matrix(dy + 4 * b * O * P, O, P), null, share.pointer, {
      pointer: to.pointer,
      accumulate,
    });
  }
  share.dispose();
}

/** dW (+)= Σ dz·cols; with DoRA and dropout dz meets the dropped x, dy the rest. */
function weightGradient(
  { s, terms }: AdaptedConv,
  { at }: Context,
  { dy, dz }: Flow,
  dw: GradTarget,
  isDora: boolean,
): void {
  const { rt, B } = s;
  const { kernels, products } = rt.engine;
  if (dw.accumulate === 0) kernels.fill(s.O * s.groupColumns, 0, dw.pointer);
  const cols = rt.empty([s.P, s.columns], 'f32');
  const add = (gradient: number, x: number): void => {
    for (let b = 0; b < B; b++) {
      imageColumns(s, x, b, cols.pointer);
      forEachGroup(s, b, (group) => {
        const [dy, w, dx] = [group.output(gradient), group.columns(cols.pointer), group.weight(dw.pointer)];
        products.backwardInput({ dy, w, low: NO_RANK, accumulate: 1, dx });
      });
    }
  };
  const first = terms[0];
  const n = imagesOf(s);
  if (!isDora || first === undefined || first.dropout === 0) add(dz, at('x'));
  else
    withMasked(rt, first, matrix(at('x'), 1, n), (masked) => {
      add(dz, masked.pointer);
      kernels.sub(n, at('x'), masked.pointer, masked.pointer);
      add(dy, masked.pointer);
    });
  cols.dispose();
}

/** The base's part of dx, added: with DoRA and dropout dz meets W on the dropped branch alone, the rest of x meets dy. */
function baseInputGradient(
  { s, terms }: AdaptedConv,
  { at }: Context,
  { dy, dz }: Flow,
  dx: GradTarget,
  isDora: boolean,
): void {
  const { rt } = s;
  const split = isDora && terms[0]!.dropout > 0;
  const to = { pointer: dx.pointer, accumulate: 1 as const };
  withWeight(s, at('weight'), (weight) => {
    convInputGradient(s, { dy: split ? dy : dz, weight }, to);
    if (!split) return;
    const [branch, minus] = [rt.full([imagesOf(s)], 0), rt.empty(s.outShape, 'f32')];
    rt.engine.kernels.sub(minus.size, dz, dy, minus.pointer);
    convInputGradient(s, { dy: minus.pointer, weight }, { pointer: branch.pointer, accumulate: 1 });
    drop(rt, terms[0]!, imagesOf(s), branch.pointer, to);
    branch.dispose();
    minus.dispose();
  });
}

/** Memory that a term's images are worked on with. */
interface Desk {
  /** [positions, r] */
  readonly u: Tensor;
  /** [outputs, r/groups] */
  readonly part: Tensor;
  /** [positions, columns] */
  readonly cols: Tensor;
}

/** Gradients of one term's A and B, and its part of dx, added at `dx` unless that is 0. */
function termGradients(conv: AdaptedConv, i: number, context: Context, dz: number, dx: number): void {
  const { s, terms, ranks } = conv;
  const { rt, B, O, P, columns } = s;
  const { kernels } = rt.engine;
  const { at, grad } = context;
  const term = terms[i]!;
  const rg = ranks.ranks[i]!;
  const r = rg * s.groups;
  const [dA, dB] = [grad('A', i), grad('B', i)];
  if (dA === null && dB === null && dx === 0) return;
  if (dA !== null && dA.accumulate === 0) kernels.fill(r * columns, 0, dA.pointer);
  if (dB !== null && dB.accumulate === 0) kernels.fill(O * rg, 0, dB.pointer);
  const make = (shape: readonly number[]): Tensor => rt.empty(shape, 'f32');
  const desk: Desk = { u: make([P, r]), part: make([O, rg]), cols: make([P, columns]) };
  const branch = dx !== 0 && term.dropout > 0 ? rt.full([imagesOf(s)], 0) : null;
  const u = matrix(desk.u.pointer, P, r);
  const cols = matrix(desk.cols.pointer, P, columns);
  withMasked(rt, term, matrix(at('x'), 1, imagesOf(s)), (masked) => {
    for (let b = 0; b < B; b++) {
      forEachGroup(s, b, (group) => groupGradients(conv, i, context, group, { image: b, dz, desk, dB }));
      if (dB !== null) kernels.axpy(O * rg, 1, desk.part.pointer, dB.pointer);
      if (dA !== null) {
        imageColumns(s, masked.pointer, b, cols.pointer);
        gradA(rt.engine, {
          u,
          x: cols,
          da: gradientMatrix({ pointer: dA.pointer, accumulate: 1 }, r, columns),
        });
      }
      if (dx === 0) continue;
      lowRankGradient(rt, { left: u, right: matrix(at('A', i), r, columns) }, overwritten(cols));
      addColumns(s, cols.pointer, branch?.pointer ?? dx, b);
    }
  });
  if (branch !== null) {
    drop(rt, term, imagesOf(s), branch.pointer, { pointer: dx, accumulate: 1 });
    branch.dispose();
  }
  for (const tensor of [desk.u, desk.part, desk.cols]) tensor.dispose();
}

interface GroupWork {
  readonly image: number;
  readonly dz: number;
  readonly desk: Desk;
  readonly dB: GradTarget | null;
}

/** A group's columns of u = s·dzᵀ·B, and its rows of the image's part of dB = s·dz·h: dz lies with outputs first. */
function groupGradients(
  { s, terms, ranks }: AdaptedConv,
  i: number,
  { at }: Context,
  group: ConvGroup,
  { image, dz, desk, dB }: GroupWork,
): void {
  const { rt, P, groupOutputs } = s;
  const rg = ranks.ranks[i]!;
  const R = ranks.width * s.groups;
  const { scaling } = terms[i]!;
  const dy = group.output(dz);
  const b = matrix(at('B', i) + 4 * group.channel * rg, groupOutputs, rg);
  const u = columnsOf(matrix(desk.u.pointer, P, rg * s.groups), group.group * rg, rg);
  gradB(rt.engine, { s: scaling, dy, h: b, db: overwritten(u) });
  if (dB === null) return;
  const hidden = matrix(at('h') + 4 * image * P * R, P, R);
  const h = columnsOf(hidden, group.group * ranks.width + ranks.columns[i]!, rg);
  const part = matrix(desk.part.pointer + 4 * group.channel * rg, groupOutputs, rg);
  hiddenGradient(rt.engine, { s: scaling, dy, b: h, u: part });
}

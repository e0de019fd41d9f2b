/**
 * What weights in the blocks of a file cost beside the same numbers in float32: the product and the gradient of its input over
 * the matrices of a layer, the next layer's at every call, and over the head. Every result is held against float64 first.
 */
import type { Tensor } from 'lora-wasm';
import type { Weight } from '../../src/engine/operands.js';
import type { Effort } from '../core/measure.js';
import { BACKWARD_INPUT, FORWARD, type Operands, operandsAt, verifyProduct } from '../core/products.js';
import { type Row, shapeText } from '../core/records.js';
import { type Entry, timedRows } from '../core/timed-rows.js';
import type { Environment } from '../suite.js';
import { type Kind, layerKinds, type ModelSizes } from './sizes.js';
import { Matrices, type Pair } from './weights.js';

export const PRODUCT = 'product';
export const GRADIENT = 'input gradient';
const PRODUCTS = { [PRODUCT]: FORWARD, [GRADIENT]: BACKWARD_INPUT } as const;
export type Operation = keyof typeof PRODUCTS;
type RowsOf = Readonly<Record<Operation, readonly number[]>>;
/** Rows of a prompt, of short ones, of a token. */
const LAYER_ROWS: RowsOf = { [PRODUCT]: [256, 64, 32, 1], [GRADIENT]: [256, 32] };
/** A matrix of one kind: the gradient's are told apart. */
const KIND_ROWS: RowsOf = { [PRODUCT]: [], [GRADIENT]: [256, 32] };
/** The head: of a prompt it takes the last row. */
const HEAD_ROWS: RowsOf = { [PRODUCT]: [1], [GRADIENT]: [] };
const QUICK_ROWS: RowsOf = { [PRODUCT]: [32, 1], [GRADIENT]: [32] };
const FULL: Effort = { rounds: 7, roundMs: 60, samples: 10 };
const QUICK: Effort = { rounds: 2, roundMs: 1 };

export const nameOf = (operation: Operation, form: 'stored' | 'plain'): string =>
  `${operation}, ${form === 'stored' ? 'quantised' : 'float32'} weights`;
export const layerShape = (M: number): string => `M=${M}, a layer's matrices`;
export const headShape = (M: number): string => `M=${M}, the head`;
export const kindShape = (M: number, [N, K]: Kind): string => shapeText(M, N, K);

/** What is timed together: one operation on M rows; every call takes the next of `turns`. */
interface Piece {
  readonly operation: Operation;
  readonly M: number;
  readonly shape: string;
  readonly turns: (all: Made) => readonly (readonly Pair[])[];
}

/** The matrices of all layers by kind, and the head. */
interface Made {
  readonly layers: readonly Matrices[];
  readonly head: Matrices;
}

function piecesOf(sizes: ModelSizes, quick: boolean): Piece[] {
  const kinds = layerKinds(sizes);
  const pieces = (full: RowsOf, shape: (M: number) => string, turns: Piece['turns']): Piece[] => {
    const rows = quick ? QUICK_ROWS : full;
    return ([PRODUCT, GRADIENT] as const).flatMap((operation) =>
      rows[operation].map((M) => ({ operation, M, shape: shape(M), turns })),
    );
  };
  /** Of the matrices of a layer those that `of` takes. */
  const layersOf =
    (of: (kind: Kind) => boolean) =>
    ({ layers }: Made): Pair[][] => {
      const own = layers.filter((_, i) => of(kinds[i]!));
      return own[0]!.pairs.map((_, i) => own.map(({ pairs }) => pairs[i]!));
    };
  const named = new Map(kinds.map((kind) => [kind.join(), kind]));
  return [
    ...pieces(
      LAYER_ROWS,
      layerShape,
      layersOf(() => true),
    ),
    ...pieces(HEAD_ROWS, headShape, ({ head }) => [head.pairs]),
    ...[...named].flatMap(([name, kind]) =>
      pieces(
        KIND_ROWS,
        (M) => kindShape(M, kind),
        (made) =>
          layersOf((one) => one.join() === name)(made).flatMap((pairs) => pairs.map((pair) => [pair])),
      ),
    ),
  ];
}

export function productRows(environment: Environment, sizes: ModelSizes): Row[] {
  const { rt, wanted, quick, progress } = environment;
  const pieces = piecesOf(sizes, quick).filter(({ operation, shape }) => wanted(`${operation} ${shape}`));
  // The matrices of all layers take long to make.
  if (pieces.length === 0) return [];
  const made: Made = {
    layers: layerKinds(sizes).map((kind) => new Matrices(rt, 'q4_1', kind, sizes.numHiddenLayers)),
    head: new Matrices(rt, 'q8_0', [sizes.vocabSize, sizes.hiddenSize], 1),
  };
  const widest = Math.max(sizes.vocabSize, sizes.intermediateSize, sizes.hiddenSize);
  const size = widest * Math.max(...pieces.map(({ M }) => M));
  const places = { x: rt.uniform([size], -1, 1), y: rt.zeros([size]) };
  const measured = pieces.flatMap((piece) => {
    progress(`${piece.operation}, ${piece.shape}`);
    return pieceRows(environment, piece, piece.turns(made), places);
  });
  for (const owner of [...made.layers, made.head, places.x, places.y]) owner.dispose();
  return measured;
}

/** Where the rows of x and of the result lie, wide enough for every matrix. */
interface Places {
  readonly x: Tensor;
  readonly y: Tensor;
}

function pieceRows(
  { rt, quick, ceiling }: Environment,
  { operation, M, shape }: Piece,
  turns: readonly (readonly Pair[])[],
  { x, y }: Places,
): Row[] {
  const product = PRODUCTS[operation];
  const addresses = { x: x.pointer, dy: x.pointer, out: y.pointer };
  const operandsOf = (w: Weight): Operands => operandsAt(product, [M, w.rows, w.columns, 0], w, addresses);
  const values = x.copyTo(new Float32Array(x.size));
  for (const { stored, plain, values: w } of turns[0]!)
    for (const one of [stored, plain].map(operandsOf)) {
      product.run(rt, one);
      const got = y.copyTo(new Float32Array(y.size)).subarray(0, M * one.out.columns);
      verifyProduct(product, [M, stored.rows, stored.columns, 0], { x: values, dy: values, w }, got);
    }
  const flops = turns[0]!.reduce((sum, { stored }) => sum + 2 * M * stored.rows * stored.columns, 0);
  const entries = (['stored', 'plain'] as const).map((form): Entry => {
    const calls = turns.map((pairs) => pairs.map((pair) => operandsOf(pair[form])));
    let turn = 0;
    const run = (): void => {
      for (const at of calls[turn]!) product.run(rt, at);
      turn = (turn + 1) % calls.length;
    };
    const ratioTo = form === 'plain' ? {} : { ratioTo: nameOf(operation, 'plain') };
    return { rt, operation: nameOf(operation, form), shape, flops, run, ...ratioTo };
  });
  return timedRows(entries, quick ? QUICK : FULL, ceiling);
}

/**
 * What weights in the blocks of a file cost beside the same numbers in float32: the product and the gradient of its input over
 * the matrices of a layer, the next layer's at every call, and over the head. Every result is held against float64 first.
 */
import type { Runtime } from 'lora-wasm';
import { verifyElements } from '../../reference/check.js';
import { type Matrix, matrix, NO_RANK, type Weight } from '../../src/engine/operands.js';
import { type Effort, measure, pairedRatio } from '../core/measure.js';
import { ownRow, type Row } from '../core/records.js';
import type { Environment } from '../suite.js';
import { layerKinds, Matrices, type ModelSizes, type Pair } from './weights.js';

export const PRODUCT = 'product';
export const GRADIENT = 'input gradient';
export const OPERATIONS = [PRODUCT, GRADIENT] as const;
export type Operation = (typeof OPERATIONS)[number];
export const FORMS = ['stored', 'plain'] as const;
export type Form = (typeof FORMS)[number];
/** Rows of a prompt, of short ones, of a token. */
export const ROWS = { [PRODUCT]: [256, 64, 32, 1], [GRADIENT]: [256, 32] } as const;
/** A matrix of one kind: the gradient's are told apart. */
const KIND_ROWS = { [PRODUCT]: [], [GRADIENT]: [256, 32] } as const;
/** The head: of a prompt it takes the last row. */
const HEAD_ROWS = { [PRODUCT]: [1], [GRADIENT]: [] } as const;
type RowsOf = Readonly<Record<Operation, readonly number[]>>;
const QUICK_ROWS: RowsOf = { [PRODUCT]: [32, 1], [GRADIENT]: [32] };

export const nameOf = (operation: Operation, form: Form): string =>
  `${operation}, ${form === 'stored' ? 'quantised' : 'float32'} weights`;
export const layerShape = (M: number): string => `M=${M}, a layer's matrices`;
export const headShape = (M: number): string => `M=${M}, the head`;
export const kindShape = (M: number, [N, K]: readonly [number, number]): string => `M=${M} N=${N} K=${K}`;

/** Where the rows of x and of the result lie, wide enough for every matrix. */
interface Places {
  readonly x: (M: number, columns: number) => Matrix;
  readonly y: (M: number, columns: number) => Matrix;
  readonly values: Float32Array;
  readonly result: () => Float32Array;
}

function call(rt: Runtime, operation: Operation, M: number, w: Weight, { x, y }: Places): void {
  const { products } = rt.engine;
  if (operation === PRODUCT) {
    products.forward({ x: x(M, w.columns), w, low: NO_RANK, colScale: 0, bias: 0, y: y(M, w.rows) });
  } else {
    products.backwardInput({ dy: x(M, w.rows), w, low: NO_RANK, accumulate: 0, dx: y(M, w.columns) });
  }
}

function verifyPair(
  rt: Runtime,
  operation: Operation,
  M: number,
  pair: Pair,
  form: Form,
  places: Places,
): void {
  const { rows: N, columns: K } = pair.stored;
  call(rt, operation, M, pair[form], places);
  const forward = operation === PRODUCT;
  const [columns, depth] = forward ? [N, K] : [K, N];
  const { values: x } = places;
  const what = `${nameOf(operation, form)} M=${M} N=${N} K=${K}`;
  verifyElements(what, places.result().subarray(0, M * columns), [M, columns, depth], (i, j) => (add) => {
    for (let d = 0; d < depth; d++)
      add(x[i * depth + d]!, forward ? pair.values[j * K + d]! : pair.values[d * K + j]!);
  });
}

/** A piece of the model that is measured: every call takes the next of `turns`. */
interface Piece {
  readonly shape: (M: number) => string;
  readonly turns: readonly (readonly Pair[])[];
  readonly rows: RowsOf;
}

const FULL: Effort = { rounds: 7, roundMs: 60, samples: 10 };
const QUICK: Effort = { rounds: 2, roundMs: 1 };

export function productRows(environment: Environment, sizes: ModelSizes): Row[] {
  const { rt, wanted, quick } = environment;
  const kinds = layerKinds(sizes);
  const shapes = [layerShape, headShape, ...kinds.map((kind) => (M: number) => kindShape(M, kind))];
  const titles = OPERATIONS.flatMap((operation) =>
    ROWS[operation].flatMap((M) => shapes.map((shape) => `${operation} ${shape(M)}`)),
  );
  // The matrices of all layers take long to make.
  if (!titles.some(wanted)) return [];
  const all = kinds.map((kind) => new Matrices(rt, 'q4_1', kind, sizes.layers));
  const head = new Matrices(rt, 'q8_0', [sizes.vocabulary, sizes.width], 1);
  const widest = Math.max(sizes.vocabulary, sizes.inner, sizes.width);
  const most = quick ? 32 : Math.max(...ROWS[PRODUCT]);
  const values = rt.uniform([most * widest], -1, 1);
  const result = rt.zeros([most * widest]);
  const places: Places = {
    x: (M, columns) => matrix(values.pointer, M, columns),
    y: (M, columns) => matrix(result.pointer, M, columns),
    values: values.copyTo(new Float32Array(values.size)),
    result: () => result.copyTo(new Float32Array(result.size)),
  };
  const layers = all[0]!.pairs.map((_, i) => all.map(({ pairs }) => pairs[i]!));
  const distinct = kinds.filter(
    (kind, i) => kinds.findIndex(([N, K]) => N === kind[0] && K === kind[1]) === i,
  );
  const pieces: Piece[] = [
    { shape: layerShape, turns: layers, rows: quick ? QUICK_ROWS : ROWS },
    { shape: headShape, turns: [head.pairs], rows: quick ? QUICK_ROWS : HEAD_ROWS },
    ...distinct.map((kind): Piece => {
      const own = all.filter((_, i) => kinds[i]![0] === kind[0] && kinds[i]![1] === kind[1]);
      const turns = layers.flatMap((_, i) => own.map(({ pairs }) => [pairs[i]!]));
      return { shape: (M) => kindShape(M, kind), turns, rows: quick ? QUICK_ROWS : KIND_ROWS };
    }),
  ];
  const measured = pieces.flatMap((piece) =>
    OPERATIONS.flatMap((operation) =>
      piece.rows[operation].flatMap((M) =>
        wanted(`${operation} ${piece.shape(M)}`) ? pieceRows(environment, operation, M, piece, places) : [],
      ),
    ),
  );
  for (const owner of [...all, head, values, result]) owner.dispose();
  return measured;
}

function pieceRows(
  { rt, quick, ceiling, progress }: Environment,
  operation: Operation,
  M: number,
  { shape, turns }: Piece,
  places: Places,
): Row[] {
  progress(`${operation}, ${shape(M)}`);
  for (const pair of turns[0]!) for (const form of FORMS) verifyPair(rt, operation, M, pair, form, places);
  const tasks = FORMS.map((form) => {
    let turn = 0;
    const run = (): void => {
      for (const pair of turns[turn]!) call(rt, operation, M, pair[form], places);
      turn = (turn + 1) % turns.length;
    };
    return { name: nameOf(operation, form), run };
  });
  const timings = measure(tasks, quick ? QUICK : FULL);
  const flops = turns[0]!.reduce((sum, { stored }) => sum + 2 * M * stored.rows * stored.columns, 0);
  const ratioTo = nameOf(operation, 'plain');
  return tasks.map(({ name }) => {
    const ratio = pairedRatio(timings.get(name)!, timings.get(ratioTo)!);
    const against = name === ratioTo ? {} : { ratio, flopRatio: 1, ratioTo };
    return ownRow(rt, [name, shape(M)], timings.get(name)!, flops, ceiling, against);
  });
}

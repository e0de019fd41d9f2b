/**
 * The inner tiles that were tried, by family, and which of them the package has in each build. `source.ts` writes their code,
 * `tiles.ts` holds them against each other.
 */
export type Family = 'packed' | 'dot' | 'stream';
export type Build = 'simd' | 'relaxed-simd';

/** How a tile differs from the plain form of its family. */
export type Trick = 'two steps a turn' | 'choice at every row';

export interface Shape {
  readonly family: Family;
  /** Rows of the result. */
  readonly rows: number;
  /** Columns of the result (packed), rows of w (dot) or rows of b (stream). */
  readonly columns: number;
  readonly trick: Trick | null;
}

/** Letters behind the size in a name, and in a function's. */
const MARKS: Readonly<Record<Trick, string>> = { 'two steps a turn': 'u2', 'choice at every row': 'r' };

const plain = (family: Family, sizes: string): Shape[] =>
  sizes.split(' ').map((size) => {
    const [rows, columns] = size.split('x').map(Number);
    return { family, rows: rows!, columns: columns!, trick: null };
  });

/** All of them; the first of a family are those near the best. */
export const SHAPES: readonly Shape[] = [
  ...plain('packed', '4x8 5x8 6x8 3x8 3x12 2x12 2x16 8x4'),
  { family: 'packed', rows: 4, columns: 8, trick: 'two steps a turn' },
  { family: 'packed', rows: 6, columns: 8, trick: 'two steps a turn' },
  { family: 'packed', rows: 5, columns: 8, trick: 'choice at every row' },
  ...plain('dot', '2x4 2x5 2x6 3x3 3x4 4x2 4x3 6x2 1x6 1x4 8x1 6x1 4x1'),
  ...plain('stream', '2x4 2x3 3x3 2x6 4x2 1x4 1x8 3x2'),
];

/** By the level of their kernels. */
export const BUILDS: readonly Build[] = ['simd', 'relaxed-simd'];
export const FAMILIES: readonly Family[] = ['packed', 'dot', 'stream'];

/** The tile that the package computes most with: `plan.ts` names those of the products, `stream.ts` has the last. */
export const CHOSEN: Readonly<Record<Build, Readonly<Record<Family, string>>>> = {
  simd: { packed: '5x8', dot: '2x4', stream: '2x4' },
  'relaxed-simd': { packed: '6x8', dot: '2x6', stream: '2x4' },
};

/** As tables name it: `5x8`, `4x8u2` (two steps a turn), `5x8r` (choice at every row). */
export function tileName({ rows, columns, trick }: Shape): string {
  return `${rows}x${columns}${trick === null ? '' : MARKS[trick]}`;
}

/** The name of a shape's function. */
export function functionName(shape: Shape): string {
  return shape.family + tileName(shape);
}

/**
 * AssemblyScript of a tile, by its shape, with the arguments and the form of the package's own: `assembly/matmul/tiles.ts`,
 * `dot-tiles.ts` and `stream.ts`. Multiply-adds are the package's `madd`, so one source serves both builds.
 */
import { type Family, functionName, type Shape } from './shapes.js';

/** Names and types of a tile's arguments, in order. */
type Arguments = readonly (readonly [name: string, type: 'i32' | 'f32' | 'usize'])[];

const pointers = (names: string): Arguments => names.split(' ').map((name) => [name, 'usize']);

const ARGUMENTS: Readonly<Record<Family, Arguments>> = {
  packed: [['depth', 'i32'], ...pointers('a b bStep'), ['accumulate', 'i32'], ...pointers('c ldc')],
  dot: [['K', 'i32'], ['R', 'i32'], ...pointers('x ldx w ldw h ldh b ldb y ldy')],
  stream: [
    ['J', 'i32'],
    ['s', 'f32'],
    ...pointers('a aRow aDeep b ldb'),
    ['add', 'i32'],
    ...pointers('c ldc'),
  ],
};

/** One module of all shapes: of each the tile, and `<name>Times`, which calls it so many times with the same arguments. */
export function sourceOf(shapes: readonly Shape[]): string {
  const bodies = { packed: packedTile, dot: dotTile, stream: streamTile };
  return [
    `import { hsum, madd } from '../../assembly/simd';`,
    ...shapes.flatMap((shape) => [...bodies[shape.family](shape), ...repeated(shape)]),
    'export function heapBase(): usize {',
    '  return __heap_base;',
    '}',
    '',
  ].join('\n');
}

function repeated(shape: Shape): string[] {
  const name = functionName(shape);
  const names = ARGUMENTS[shape.family].map(([argument]) => argument);
  return [
    `export function ${name}Times(times: i32, ${declared(shape.family)}): void {`,
    `  for (let i = 0; i < times; i++) ${name}(${names.join(', ')});`,
    '}',
  ];
}

function declared(family: Family): string {
  return ARGUMENTS[family].map(([name, type]) => `${name}: ${type}`).join(', ');
}

function header(shape: Shape): string {
  return `export function ${functionName(shape)}(${declared(shape.family)}): void {`;
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** A line for each pair of indices. */
const pairs = (rows: number, columns: number, line: (i: number, j: number) => string): string[] =>
  upTo(rows).flatMap((i) => upTo(columns).map((j) => line(i, j)));

const zeros = (rows: number, columns: number): string[] =>
  pairs(rows, columns, (i, j) => `  let c${i}${j} = f32x4.splat(0);`);

/** C[rows, columns] (+)= A·B: A is packed, `rows` values a step; B is rows of `columns` values, `bStep` bytes apart. */
function packedTile(shape: Shape): string[] {
  const { rows, columns, trick } = shape;
  const vectors = columns / 4;
  const steps = trick === 'two steps a turn' ? 2 : 1;
  const step = (at: number): string[] => [
    ...upTo(vectors).map((j) => `    const b${at}${j} = v128.load(b${at > 0 ? ' + bStep' : ''}, ${16 * j});`),
    ...upTo(rows).flatMap((i) => [
      `    const s${at}${i} = v128.load32_splat(a, ${4 * (at * rows + i)});`,
      ...upTo(vectors).map((j) => `    c${i}${j} = madd(s${at}${i}, b${at}${j}, c${i}${j});`),
    ]),
  ];
  const ending = trick === 'choice at every row' ? choiceAtEveryRow : twoEndings;
  return [
    header(shape),
    ...zeros(rows, vectors),
    `  for (const end = a + (<usize>depth) * ${4 * rows}; a < end; a += ${4 * rows * steps}, b += ${steps} * bStep) {`,
    ...upTo(steps).flatMap(step),
    '  }',
    ...ending(rows, vectors),
    '}',
  ];
}

const put = (i: number, j: number): string => `    v128.store(c + ${i} * ldc, c${i}${j}, ${16 * j});`;
const addTo = (i: number, j: number): string =>
  `    v128.store(c + ${i} * ldc, f32x4.add(v128.load(c + ${i} * ldc, ${16 * j}), c${i}${j}), ${16 * j});`;

function twoEndings(rows: number, vectors: number): string[] {
  const [add, set] = [pairs(rows, vectors, addTo), pairs(rows, vectors, put)];
  return ['  if (accumulate) {', ...add, '  } else {', ...set, '  }'];
}

function choiceAtEveryRow(rows: number, vectors: number): string[] {
  return upTo(rows).flatMap((i) => [
    '  if (accumulate) {',
    ...upTo(vectors).map(
      (j) => `    c${i}${j} = f32x4.add(v128.load(c + ${i} * ldc, ${16 * j}), c${i}${j});`,
    ),
    '  }',
    ...upTo(vectors).map((j) => put(i, j)),
  ]);
}

/** y[rows, columns] = x·wᵀ + h·bᵀ, four sums a lane: one loop, over K and then over R; both multiples of 4. */
function dotTile(shape: Shape): string[] {
  const { rows, columns } = shape;
  const starts = (keyword: string, x: string, w: string): string[] => [
    ...upTo(rows).map((i) => `  ${keyword}x${i} = ${x} + ${i} * ld${x};`),
    ...upTo(columns).map((j) => `  ${keyword}w${j} = ${w} + ${j} * ld${w};`),
  ];
  const moves = [...upTo(rows).map((i) => `x${i}`), ...upTo(columns).map((j) => `w${j}`)];
  // The shorter side stays in registers, each value of the longer one is used at once.
  const [kept, passing] = rows <= columns ? (['x', 'w'] as const) : (['w', 'x'] as const);
  const [count, long] = [Math.min(rows, columns), Math.max(rows, columns)];
  const sum = (near: number, far: number): string => (kept === 'x' ? `c${near}${far}` : `c${far}${near}`);
  return [
    header(shape),
    ...zeros(rows, columns),
    ...starts('let ', 'x', 'w'),
    '  let steps = K;',
    '  for (let part = 0; part < 2; part++) {',
    `    for (const end = x0 + ((<usize>steps) << 2); x0 < end; ${moves.map((p) => `${p} += 16`).join(', ')}) {`,
    ...upTo(count).map((i) => `      const v${i} = v128.load(${kept}${i});`),
    ...upTo(long).flatMap((j) => [
      `      const u${j} = v128.load(${passing}${j});`,
      ...upTo(count).map((i) => `      ${sum(i, j)} = madd(v${i}, u${j}, ${sum(i, j)});`),
    ]),
    '    }',
    '    if (R < 4) break;',
    ...starts('', 'h', 'b'),
    '    steps = R;',
    '  }',
    ...pairs(rows, columns, (i, j) => `  store<f32>(y + ${i} * ldy, hsum(c${i}${j}), ${4 * j});`),
    '}',
  ];
}

/** c[rows, J] (+)= s·a·b over `columns` rows of b, J a multiple of 4: the two forms are two loops, as in the package. */
function streamTile(shape: Shape): string[] {
  return [
    header(shape),
    '  if (add) {',
    ...streamLoop(shape, (i) => `v128.load(c${i})`),
    '  } else {',
    ...streamLoop(shape, () => 'f32x4.splat(0)'),
    '  }',
    '}',
  ];
}

function streamLoop({ rows, columns }: Shape, start: (i: number) => string): string[] {
  const moves = [...upTo(columns).map((d) => `b${d}`), ...upTo(rows).map((i) => `c${i}`)];
  return [
    ...pairs(
      rows,
      columns,
      (i, d) => `    const s${i}${d} = f32x4.splat(s * load<f32>(a + ${i} * aRow + ${d} * aDeep));`,
    ),
    ...upTo(columns).map((d) => `    let b${d} = b + ${d} * ldb;`),
    ...upTo(rows).map((i) => `    let c${i} = c + ${i} * ldc;`),
    `    for (const end = c + ((<usize>J) << 2); c0 < end; ${moves.map((p) => `${p} += 16`).join(', ')}) {`,
    ...upTo(columns).flatMap((d) => [
      `      const v${d} = v128.load(b${d});`,
      ...upTo(rows).map(
        (i) =>
          `      ${d === 0 ? 'let ' : ''}t${i} = madd(s${i}${d}, v${d}, ${d === 0 ? start(i) : `t${i}`});`,
      ),
    ]),
    ...upTo(rows).map((i) => `      v128.store(c${i}, t${i});`),
    '    }',
  ];
}

/**
 * The products of a LoRA layer over random operands in a runtime's memory, each held against the sums of products that it is:
 * what the suites time as kernels, over weights of other types and by other paths.
 */
import type { Runtime, Tensor } from 'lora-wasm';
import { verifyElements } from '../../reference/check.js';
import { backwardInputCall, backwardWeightCall, type Call, forwardCall } from '../../src/engine/calls.js';
import { type Matrix, matrix, type Weight, weight } from '../../src/engine/operands.js';
import type { WeightDType } from '../../src/values/dtypes.js';
import { shapeText } from './records.js';

/** Rows, outputs, inputs and rank. */
export type Sizes = readonly [M: number, N: number, K: number, R: number];

type Name = 'x' | 'w' | 'dy' | 'h' | 'a' | 'b';
/** A transposed operand has a ᵀ. */
type Factor = Name | `${Name}ᵀ`;
export type Operands = Readonly<Record<Exclude<Name, 'w'> | 'out', Matrix> & { w: Weight }>;

export interface Product {
  readonly operation: string;
  /** The result: scale times the sum of these products. Those of h and its partner are there where R > 0 only. */
  readonly sum: readonly (readonly [Factor, Factor])[];
  readonly scale?: number;
  readonly run: (rt: Runtime, at: Operands) => void;
}

/** One that has several paths. */
export interface LargeProduct extends Product {
  readonly call: (path: number, at: Operands) => Call;
}

const forwardOperands = ({ x, w, h, b, out }: Operands) => ({
  ...{ x, w, low: { left: h, right: b } },
  ...{ colScale: 0, bias: 0, y: out },
});
const inputOperands = ({ dy, w, h, a, out }: Operands) =>
  ({ dy, w, low: { left: h, right: a }, accumulate: 0, dx: out }) as const;
const weightOperands = ({ dy, x, out }: Operands) => ({ dy, x, accumulate: 0, dw: out }) as const;

export const FORWARD: LargeProduct = {
  operation: 'product x·Wᵀ',
  sum: [
    ['x', 'wᵀ'],
    ['h', 'bᵀ'],
  ],
  run: ({ engine }, at) => engine.products.forward(forwardOperands(at)),
  call: (path, at) => forwardCall(path, forwardOperands(at)),
};
export const BACKWARD_INPUT: LargeProduct = {
  operation: 'dx = dy·W',
  sum: [
    ['dy', 'w'],
    ['h', 'a'],
  ],
  run: ({ engine }, at) => engine.products.backwardInput(inputOperands(at)),
  call: (path, at) => backwardInputCall(path, inputOperands(at)),
};
export const BACKWARD_WEIGHT: LargeProduct = {
  operation: 'dW = dyᵀ·x',
  sum: [['dyᵀ', 'x']],
  run: ({ engine }, at) => engine.products.backwardWeight(weightOperands(at)),
  call: (path, at) => backwardWeightCall(path, weightOperands(at)),
};

/** An operand as the product sees it. */
interface Seen {
  readonly name: Name;
  readonly turned: boolean;
  readonly rows: number;
  readonly columns: number;
}

type Shapes = Readonly<Record<Name, readonly [rows: number, columns: number]>>;

function shapesOf([M, N, K, R]: Sizes): Shapes {
  return { x: [M, K], w: [N, K], dy: [M, N], h: [M, R], a: [R, K], b: [N, R] };
}

/** The factors of each term, and the result's rows, columns and depth. */
export function termsOf({ sum }: Product, sizes: Sizes) {
  const shapes = shapesOf(sizes);
  const terms = sum.map((factors) => factors.map((factor) => seen(shapes, factor)) as [Seen, Seen]);
  const [rows, columns] = [terms[0]![0].rows, terms[0]![1].columns];
  return { terms, rows, columns, depth: terms.reduce((total, [left]) => total + left.columns, 0) };
}

function seen(shapes: Shapes, factor: Factor): Seen {
  const [name, turned] = [factor.replace('ᵀ', '') as Name, factor.endsWith('ᵀ')];
  const [rows, columns] = shapes[name];
  return turned ? { name, turned, rows: columns, columns: rows } : { name, turned, rows, columns };
}

/** Operands at these addresses. */
export function operandsAt(
  product: Product,
  sizes: Sizes,
  w: Weight,
  addresses: Readonly<Partial<Record<Exclude<Name, 'w'> | 'out', number>>>,
): Operands {
  const shapes = shapesOf(sizes);
  const { rows, columns } = termsOf(product, sizes);
  const at = (name: Exclude<Name, 'w'>): Matrix => matrix(addresses[name] ?? 0, ...shapes[name]);
  return {
    ...{ x: at('x'), dy: at('dy'), h: at('h'), a: at('a'), b: at('b') },
    ...{ w, out: matrix(addresses.out ?? 0, rows, columns) },
  };
}

/** Holds a result against float64. @param values - of the operands @throws Error naming the element */
export function verifyProduct(
  product: Product,
  sizes: Sizes,
  values: Readonly<Partial<Record<Name, ArrayLike<number>>>>,
  got: Float32Array,
): void {
  const { terms, rows, columns, depth } = termsOf(product, sizes);
  const shapes = shapesOf(sizes);
  const element = ({ name, turned }: Seen, i: number, j: number): number =>
    values[name]![turned ? j * shapes[name][1] + i : i * shapes[name][1] + j]!;
  const { operation, scale = 1 } = product;
  verifyElements(`${operation} ${shapeText(...sizes)}`, got, [rows, columns, depth + 1], (i, j) => (add) => {
    for (const [left, right] of terms)
      for (let d = 0; d < left.columns; d++) add(scale * element(left, i, d), element(right, d, j));
  });
}

/** Operands from U(-1, 1), or whole numbers from -`whole` to `whole`, the weight of a type of its own: one call, and its check. */
export function placed(
  rt: Runtime,
  product: Product,
  sizes: Sizes,
  { dtype = 'f32', whole = 0 }: { readonly dtype?: WeightDType; readonly whole?: number } = {},
) {
  const { terms, rows, columns } = termsOf(product, sizes);
  const shapes = shapesOf(sizes);
  const names = new Set(terms.flat().map(({ name }) => name));
  const tensors = new Map([...names].map((name) => [name, drawn(rt, shapes[name], whole)]));
  const w = tensors.get('w');
  if (w !== undefined && dtype !== 'f32') {
    tensors.set('w', rt.tensor(w.copyTo(new Float32Array(w.size)), shapes.w, { dtype }));
    w.dispose();
  }
  const out = rt.zeros([rows, columns]);
  const pointers = Object.fromEntries([...tensors].map(([name, { pointer }]) => [name, pointer]));
  const stored = weight(pointers.w ?? 0, ...shapes.w, dtype);
  const at = operandsAt(product, sizes, stored, { ...pointers, out: out.pointer });
  const verify = (): void => {
    const values = Object.fromEntries([...tensors].map(([name, tensor]) => [name, tensor.toArray()]));
    verifyProduct(product, sizes, values, out.copyTo(new Float32Array(out.size)));
  };
  const dispose = (): void => {
    for (const tensor of [...tensors.values(), out]) tensor.dispose();
  };
  return { at, out, run: () => product.run(rt, at), verify, dispose };
}

function drawn(rt: Runtime, shape: readonly number[], whole: number): Tensor {
  const size = whole > 0 ? whole + 0.5 : 1;
  const tensor = rt.uniform([...shape], -size, size);
  return whole > 0 ? tensor.set(tensor.copyTo(new Float32Array(tensor.size)).map(Math.round)) : tensor;
}

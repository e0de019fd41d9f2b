/** Injection scenarios of operations: forward with backward, onto gradients that are there already, and outside any scope. */
import {
  add,
  argmax,
  causalAttention,
  checkpoint,
  conv2d,
  crossEntropy,
  defineOperation,
  embedding,
  gelu,
  layerNorm,
  linear,
  linearCrossEntropy,
  maxPool2d,
  mean,
  mseLoss,
  mul,
  type Runtime,
  relu,
  reshape,
  rmsNorm,
  rotaryTable,
  rotate,
  scale,
  sigmoid,
  softmax,
  sub,
  sum,
  swiglu,
  type Tensor,
  tanh,
} from '../../../src/index.js';
import { RotaryTable } from '../../../src/ops/rotary.js';
import { leaf } from '../tensors.js';
import type { Draw, Scenario } from './scenario.js';

/** Kept numbers from 0 up to `below`. */
export function indices(rt: Runtime, shape: readonly number[], below: number): Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  return rt
    .tensor(
      Int32Array.from({ length: size }, (_, i) => (7 * i + 2) % below),
      shape,
    )
    .keep();
}

type Inputs = (rt: Runtime, draw: Draw) => Tensor[];

function scenariosOf(
  name: string,
  inputs: Inputs,
  call: (...tensors: Tensor[]) => Tensor,
  label = '',
): Scenario[] {
  const covers = [name, 'Tensor.backward'];
  const trained = (primed: boolean): Scenario => ({
    title: `${name}${label}, forward and backward${primed ? ' onto gradients' : ''}`,
    covers,
    build(rt, draw) {
      const holders = inputs(rt, draw);
      const dy = rt.normal(rt.scope(() => call(...holders).shape)).keep();
      const run = (): unknown =>
        rt.scope(() => {
          const y = call(...holders);
          const values = y.toArray();
          if (y.requiresGrad) y.backward(dy);
          return values;
        });
      if (primed) run();
      return { holders: [...holders, dy], run };
    },
  });
  const bare: Scenario = {
    title: `${name}${label}, outside any scope`,
    covers,
    build(rt, draw) {
      const holders = inputs(rt, draw);
      return { holders, run: () => call(...holders) };
    },
  };
  return [trained(false), trained(true), bare];
}

const two: Inputs = (rt, draw) => {
  const shape = [draw.size(3), draw.size(5)];
  return [leaf(rt, shape), leaf(rt, shape)];
};
const one: Inputs = (rt, draw) => [leaf(rt, [draw.size(3), draw.size(6)])];
const images: Inputs = (rt, draw) => [leaf(rt, [draw.size(2), 4, draw.size(5) + 2, draw.size(4) + 2])];
const convolution =
  (groups: number): Inputs =>
  (rt, draw) => [...images(rt, draw), leaf(rt, [6, 4 / groups, 3, 2]), leaf(rt, [6])];

const square = defineOperation({
  name: 'square',
  forward: ({ x }: { x: Tensor }) => ({ y: mul(x, x), keep: { x } }),
  backward: ({ dy, kept }) => ({ x: mul(dy, scale(kept.x, 2)) }),
});

function tableOf(cos: Tensor, sin: Tensor): RotaryTable {
  return new RotaryTable(2 * cos.shape[1]!, cos.shape[0]!, cos, sin);
}

const REDUCTIONS = ['mean', 'sum'] as const;

/** Rotations with positions of the host, which come into memory at every call; and the table alone. */
const ROTATIONS: readonly Scenario[] = [
  ...scenariosOf(
    'rotate',
    (rt, draw) => {
      const half = draw.size(3);
      const table = rotaryTable(rt, { headDim: 2 * half, length: 4, theta: 10 });
      return [leaf(rt, [1, 3, 4 * half]), table.cos, table.sin];
    },
    (x, cos, sin) => rotate(x!, tableOf(cos!, sin!), Int32Array.of(3, 0, 2)),
  ),
  {
    title: 'rotaryTable',
    covers: ['rotaryTable'],
    build(rt, draw) {
      const half = draw.size(3);
      const factors = new Float32Array(half).fill(2);
      const run = () => {
        const table = rotaryTable(rt, { headDim: 2 * half, length: 4, theta: 10, factors });
        const values = table.cos.toArray();
        table.dispose();
        return values;
      };
      return { holders: [], run };
    },
  },
];

export const OPERATIONS: readonly Scenario[] = [
  ...scenariosOf('add', two, (a, b) => add(a!, b!)),
  ...scenariosOf('add', one, (a) => add(a!, a!), ' of a tensor and itself'),
  ...scenariosOf('sub', two, (a, b) => sub(a!, b!)),
  ...scenariosOf('mul', two, (a, b) => mul(a!, b!)),
  ...scenariosOf('scale', one, (a) => scale(a!, 3)),
  ...scenariosOf('relu', one, (a) => relu(a!)),
  ...scenariosOf('tanh', one, (a) => tanh(a!)),
  ...scenariosOf('sigmoid', one, (a) => sigmoid(a!)),
  ...scenariosOf('gelu', one, (a) => gelu(a!)),
  ...scenariosOf('gelu', one, (a) => gelu(a!, { approximate: 'tanh' }), ' by tanh'),
  ...scenariosOf('softmax', one, (a) => softmax(a!)),
  ...scenariosOf('sum', one, (a) => sum(a!)),
  ...scenariosOf('mean', one, (a) => mean(a!)),
  ...scenariosOf('mean', images, (a) => mean(a!, [2, 3]), ' over dimensions'),
  ...scenariosOf('reshape', one, (a) => reshape(a!, [a!.size])),
  ...scenariosOf('argmax', one, (a) => argmax(a!)),
  ...REDUCTIONS.flatMap((reduction) =>
    scenariosOf('mseLoss', two, (a, b) => mseLoss(a!, b!, { reduction }), `, ${reduction}`),
  ),
  ...REDUCTIONS.flatMap((reduction) =>
    scenariosOf(
      'crossEntropy',
      (rt, draw) => {
        const [rows, classes] = [draw.size(4), draw.size(5)];
        return [leaf(rt, [rows, classes]), indices(rt, [rows], classes)];
      },
      (a, b) => crossEntropy(a!, b!, { reduction }),
      `, ${reduction}`,
    ),
  ),
  ...REDUCTIONS.flatMap((reduction) =>
    scenariosOf(
      'linearCrossEntropy',
      (rt, draw) => {
        const [rows, classes, width] = [draw.size(70), draw.size(5), draw.size(6)];
        return [leaf(rt, [rows, width]), leaf(rt, [classes, width]), indices(rt, [rows], classes)];
      },
      (x, w, labels) => linearCrossEntropy(x!, w!, labels!, { reduction, ignoreIndex: 1 }),
      `, ${reduction}`,
    ),
  ),
  ...scenariosOf(
    'linear',
    (rt, draw) => {
      const [M, N, K] = [draw.size(3), draw.size(4), draw.size(5)];
      return [leaf(rt, [M, K]), leaf(rt, [N, K]), leaf(rt, [N])];
    },
    (x, w, b) => linear(x!, w!, b!),
  ),
  ...[1, 2].flatMap((groups) =>
    scenariosOf(
      'conv2d',
      convolution(groups),
      (x, w, b) => conv2d(x!, w!, b!, { groups, padding: 1 }),
      `, ${groups} groups`,
    ),
  ),
  ...scenariosOf('maxPool2d', images, (x) => maxPool2d(x!, 2)),
  ...scenariosOf(
    'embedding',
    (rt, draw) => {
      const rows = draw.size(7);
      return [indices(rt, [2, 3], rows), leaf(rt, [rows, draw.size(4)])];
    },
    (i, w) => embedding(i!, w!),
  ),
  ...scenariosOf(
    'layerNorm',
    (rt, draw) => {
      const width = draw.size(6);
      return [leaf(rt, [3, width]), leaf(rt, [width]), leaf(rt, [width])];
    },
    (x, w, b) => layerNorm(x!, [w!.size], w!, b!),
  ),
  ...scenariosOf(
    'rmsNorm',
    (rt, draw) => {
      const width = draw.size(6);
      return [leaf(rt, [3, width]), leaf(rt, [width])];
    },
    (x, w) => rmsNorm(x!, w!),
  ),
  ...scenariosOf('swiglu', two, (gate, up) => swiglu(gate!, up!)),
  ...scenariosOf(
    'causalAttention',
    (rt, draw) => {
      const [T, D] = [draw.size(5), draw.size(6)];
      return [leaf(rt, [2, T, 4 * D]), leaf(rt, [2, T, 2 * D]), leaf(rt, [2, T, 2 * D])];
    },
    (q, k, v) => {
      const starts = Int32Array.from({ length: 2 * q!.shape[1]! }, (_, i) => (i % q!.shape[1]! > 1 ? 1 : 0));
      return causalAttention(q!, k!, v!, { heads: 4, kvHeads: 2, window: 3, starts });
    },
  ),
  ...ROTATIONS,
  ...scenariosOf('defineOperation', one, (x) => square({ x: x! })),
  ...scenariosOf('checkpoint', two, (a, b) => checkpoint((x) => mul(tanh(mul(x, b!)), x), a!)),
  // Several operations: outside a scope what the first gave is the caller's.
  ...scenariosOf(
    'defineOperation',
    one,
    (x) => add(square({ x: x! }), mul(x!, square({ x: x! }))),
    ' in a graph with branches',
  ).slice(0, 2),
];

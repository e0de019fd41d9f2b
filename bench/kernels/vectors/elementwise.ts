/** Optimisers, element-wise arithmetic, activations, random numbers. */
import { gelu, geluSlope, sigmoid } from '../../../reference/functions.js';
import { philoxWord } from '../../../reference/philox.js';
import { DIVISION, type VectorKernel } from './kernel.js';

/** So high a rate that a step is seen in what it leaves. */
const [LR, BETA1, BETA2, EPS, DECAY] = [0.1, 0.9, 0.999, 1e-8, 0.01] as const;

const ARITHMETIC: readonly VectorKernel[] = [
  [
    ['AdamW', 7, 14 + 2 * DIVISION, 0],
    (k, [p, g, m, v], N, M) => k.adamStep(M * N, p, g, m, v, LR, BETA1, BETA2, EPS, DECAY, 1, LR, 1),
    ([p, g, m, v], i) => {
      const first = m(i) + (1 - BETA1) * (g(i) - m(i));
      const second = BETA2 * v(i) + (1 - BETA2) * g(i) ** 2;
      return (1 - LR * DECAY) * p(i) - (LR * first) / (Math.sqrt(second) + EPS);
    },
    { squared: 3 },
  ],
  [
    ['SGD with momentum', 5, 5, 0],
    (k, [p, g, m], N, M) => k.sgdStep(M * N, p, g, m, LR, 0.9, 0, 0, 0, 0),
    ([p, g, m], i) => p(i) - LR * (0.9 * m(i) + g(i)),
    { operands: 'MN MN MN' },
  ],
  [['fill', 1, 0, 0], (k, [y], N) => k.fill(N, 0.5, y), () => 0.5],
  [['add', 3, 1, 2], (k, [a, b, y], N) => k.add(N, a, b, y), ([a, b], i) => a(i) + b(i)],
  [['sub', 3, 1, 2], (k, [a, b, y], N) => k.sub(N, a, b, y), ([a, b], i) => a(i) - b(i)],
  [['mul', 3, 1, 2], (k, [a, b, y], N) => k.mul(N, a, b, y), ([a, b], i) => a(i) * b(i)],
  [['scale', 2, 1, 1], (k, [x, y], N) => k.scale(N, 0.5, x, y), ([x], i) => 0.5 * x(i)],
  [
    ['axpy', 3, 2, 1],
    (k, [x, y], N) => k.axpy(N, 0.5, x, y),
    ([x, y], i) => 0.5 * x(i) + y(i),
    { operands: 'MN MN' },
  ],
  [
    ['mulAdd', 4, 3, 2],
    (k, [a, b, y], N) => k.mulAdd(N, 0.5, a, b, y),
    ([a, b, y], i) => 0.5 * a(i) * b(i) + y(i),
    { operands: 'MN MN MN' },
  ],
  [
    ['addScalar', 2, 1, 0],
    (k, [y], N) => k.addScalar(N, 0.25, y),
    ([y], i) => y(i) + 0.25,
    { operands: 'MN' },
  ],
  [
    ['differenceScaled', 3, 2, 2],
    (k, [a, b, y], N) => k.differenceScaled(N, 0.5, a, b, 0, y),
    ([a, b], i) => 0.5 * (a(i) - b(i)),
  ],
  [
    ['quotient', 3, 2 + DIVISION, 2],
    (k, [a, b, y], N) => k.quotient(N, a, b, y),
    ([a, b], i) => (b(i) === 0 ? 0 : a(i) / b(i)),
  ],
];

/** `exp4`: to the power of two and the rest 7, the polynomial 12, put together 4, the range 2. */
export const EXP = 25;

type Simple = 'reluForward' | 'tanhForward' | 'sigmoidForward';

function forward(
  operation: string,
  kernel: Simple,
  flops: number,
  twin: (x: number) => number,
): VectorKernel {
  return [[operation, 2, flops, 1], (k, [x, y], N) => k[kernel](N, x, y), ([x], i) => twin(x(i))];
}

/** dx = dy·slope(y). */
function backward(
  operation: string,
  kernel: 'reluBackward' | 'tanhBackward' | 'sigmoidBackward',
  flops: number,
  slope: (y: number) => number,
): VectorKernel {
  return [
    [`${operation} backward`, 3, flops, 2],
    (k, [y, dy, dx], N) => k[kernel](N, y, dy, 0, dx),
    ([y, dy], i) => dy(i) * slope(y(i)),
  ];
}

function geluPair(approximate: 0 | 1, forwardFlops: number, backwardFlops: number): VectorKernel[] {
  const [name, tanh] = [approximate === 1 ? 'GELU (tanh)' : 'GELU (exact)', approximate === 1];
  return [
    [
      [name, 2, EXP + forwardFlops + DIVISION, 1],
      (k, [x, y], N) => k.geluForward(N, approximate, x, y),
      ([x], i) => gelu(x(i), tanh),
    ],
    [
      [`${name} backward`, 3, EXP + backwardFlops + DIVISION, 2],
      (k, [x, dy, dx], N) => k.geluBackward(N, approximate, x, dy, 0, dx),
      ([x, dy], i) => dy(i) * geluSlope(x(i), tanh),
    ],
  ];
}

const ACTIVATIONS: readonly VectorKernel[] = [
  forward('ReLU', 'reluForward', 2, (x) => Math.max(0, x)),
  backward('ReLU', 'reluBackward', 2, (y) => (y > 0 ? 1 : 0)),
  forward('tanh', 'tanhForward', 30 + DIVISION, Math.tanh),
  backward('tanh', 'tanhBackward', 3, (y) => 1 - y * y),
  forward('sigmoid', 'sigmoidForward', EXP + 2 + DIVISION, sigmoid),
  backward('sigmoid', 'sigmoidBackward', 3, (y) => y - y * y),
  ...geluPair(1, 6, 15),
  ...geluPair(0, 29, 32),
];

/** Ten rounds of integer products for every four elements. Sixteen elements: 14 operations on vectors a round, 8 for the order. */
const PHILOX = (10 * 14 + 8) / 4;
const SEED = [1, 0, 2, 3, 4] as const;
const unit = (i: number): number => (philoxWord(SEED, i) >>> 8) / 2 ** 24;

const RANDOM: readonly VectorKernel[] = [
  [
    ['dropout', 2, PHILOX + 4, 1],
    (k, [x, y], N) => k.dropout(N, ...SEED, 0.1, x, 0, y),
    ([x], i) => (unit(i) >= 0.1 ? x(i) / 0.9 : 0),
  ],
  [
    ['randomUniform', 1, PHILOX + 13, 0],
    (k, [y], N) => k.randomUniform(N, ...SEED, 0, 2, y),
    (_, i) => 2 * unit(i),
  ],
  [
    // One number at a time: 25 operations for its word, half a logarithm (25) and root (12), a sine or cosine (30), each of which
    // takes the place of a vector's.
    ['randomNormal', 1, 4 * (25 + 37 / 2 + 30), 0],
    (k, [y], N) => k.randomNormal(N, ...SEED, 1, y),
    (_, i) => {
      const radius = Math.sqrt(-2 * Math.log((philoxWord(SEED, i & ~1) + 0.5) / 2 ** 32));
      const angle = (2 * Math.PI * philoxWord(SEED, i | 1)) / 2 ** 32;
      return radius * ((i & 1) === 0 ? Math.cos(angle) : Math.sin(angle));
    },
  ],
];

export const ELEMENTWISE = [...ARITHMETIC, ...ACTIVATIONS, ...RANDOM];

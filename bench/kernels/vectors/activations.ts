/** Activations, forward and backward. Most are bound by arithmetic: `flops` counts what `assembly/nn` does. */
import { DIVISION, one, type VectorKernel } from './kernel.js';

/** `exp4`: to the power of two and the rest 7, the polynomial 12, put together 4, the range 2. */
export const EXP = 25;

const root = Math.sqrt(2 / Math.PI);
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const inner = (x: number): number => root * (x + 0.044715 * x ** 3);

/** Φ by the power series of erf: arguments are within ±1. */
function normalCdf(x: number): number {
  const z = x / Math.SQRT2;
  let term = z;
  let total = z;
  for (let n = 1; n < 40; n++) {
    term *= (-z * z) / n;
    total += term / (2 * n + 1);
  }
  return 0.5 + total / Math.sqrt(Math.PI);
}

function geluSlope(x: number): number {
  const t = Math.tanh(inner(x));
  return (1 + t) / 2 + (x / 2) * (1 - t * t) * root * (1 + 0.134145 * x * x);
}

const exactSlope = (x: number): number =>
  normalCdf(x) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);

type Forward = 'reluForward' | 'tanhForward' | 'sigmoidForward';
type Backward = 'reluBackward' | 'tanhBackward' | 'sigmoidBackward';

function forward(
  operation: string,
  kernel: Forward,
  flops: number,
  twin: (x: number) => number,
): VectorKernel {
  return {
    operation,
    moves: 2,
    flops,
    run: (k, [x, y], _, N) => k[kernel](N, x!, y!),
    value: ([x], i) => one(twin(x![i]!)),
    out: 1,
  };
}

/** dx = dy·(the difference of two numbers made of y). */
function backward(
  operation: string,
  kernel: Backward,
  flops: number,
  parts: (y: number) => readonly [number, number],
): VectorKernel {
  return {
    operation,
    moves: 3,
    flops,
    run: (k, [y, dy, dx], _, N) => k[kernel](N, y!, dy!, 0, dx!),
    value: ([y, dy], i) => {
      const [first, second] = parts(y![i]!);
      return (add) => {
        add(dy![i]!, first);
        add(-dy![i]!, second);
      };
    },
    out: 2,
  };
}

function gelu(approximate: 0 | 1, flops: number, twin: (x: number) => number): VectorKernel {
  return {
    operation: approximate === 1 ? 'GELU (tanh)' : 'GELU (exact)',
    moves: 2,
    flops,
    run: (k, [x, y], _, N) => k.geluForward(N, approximate, x!, y!),
    value: ([x], i) => one(twin(x![i]!)),
    out: 1,
  };
}

function geluBack(approximate: 0 | 1, flops: number, slope: (x: number) => number): VectorKernel {
  return {
    operation: approximate === 1 ? 'GELU (tanh) backward' : 'GELU (exact) backward',
    moves: 3,
    flops,
    run: (k, [x, dy, dx], _, N) => k.geluBackward(N, approximate, x!, dy!, 0, dx!),
    // The slope crosses 0: its error is one of terms of about 1.
    value:
      ([x, dy], i) =>
      (add) => {
        add(dy![i]!, 1);
        add(dy![i]!, slope(x![i]!) - 1);
      },
    out: 2,
  };
}

export const ACTIVATIONS: readonly VectorKernel[] = [
  forward('ReLU', 'reluForward', 2, (x) => Math.max(0, x)),
  backward('ReLU backward', 'reluBackward', 2, (y) => [y > 0 ? 1 : 0, 0]),
  forward('tanh', 'tanhForward', 30 + DIVISION, Math.tanh),
  backward('tanh backward', 'tanhBackward', 3, (y) => [1, y * y]),
  forward('sigmoid', 'sigmoidForward', EXP + 2 + DIVISION, sigmoid),
  backward('sigmoid backward', 'sigmoidBackward', 3, (y) => [y, y * y]),
  gelu(1, EXP + 6 + DIVISION, (x) => (x / 2) * (1 + Math.tanh(inner(x)))),
  geluBack(1, EXP + 15 + DIVISION, geluSlope),
  gelu(0, EXP + 29 + DIVISION, (x) => x * normalCdf(x)),
  geluBack(0, EXP + 32 + DIVISION, exactSlope),
];

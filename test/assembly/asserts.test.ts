/** Wrong arguments of kernels in the debug build: an error that names the kernel, its operand, what is asked and what was got. */
import { expect, test } from 'vitest';
import { forwardPanels } from '../../src/engine/attention.js';
import { backwardInputCall, forwardCall } from '../../src/engine/calls.js';
import { crossEntropyTo, softmaxTo } from '../../src/engine/classes.js';
import { normalTo } from '../../src/engine/draws.js';
import { addProduct, gatherRows, normalise, scatterAddRows } from '../../src/engine/matrices.js';
import {
  type Matrix,
  matrix,
  NO_RANK,
  type Weight,
  weight,
  weightColumns,
} from '../../src/engine/operands.js';
import type { SharedWork, Whole } from '../../src/engine/sharing.js';
import { down, gradA, gradB, hiddenGradient } from '../../src/engine/skinny.js';
import { stepAdam, stepSgd } from '../../src/engine/steps.js';
import { turn } from '../../src/engine/transformer.js';
import { addColumnsTo, columnsFrom, maxPoolGradient, type Windows } from '../../src/engine/windows.js';
import { describeBuilds } from './builds.js';
import { gradientIn } from './harness.js';

describeBuilds((h) => {
  const vector = (n = 64): number => h.f32(new Array<number>(n).fill(1));
  const packed = 16 + 4;
  const on = (rows: number, columns: number, pointer = vector()): Matrix => matrix(pointer, rows, columns);
  const set = 0;
  const image = (step: number): Windows => ({
    ...{ C: 2, H: 4, W: 4, KH: 3, KW: 3, OH: 4, OW: 4 },
    ...{ stride: [step, 1], padding: [1, 1], dilation: [1, 1] },
  });
  const beyond = 512 * 65536 - 8;

  const call = (kernel: SharedWork['kernel'], args: number[]): void =>
    (h.kernels[kernel] as (...values: number[]) => void)(...args);
  const withScratch = (scratch: number) => ({
    sharing: { run: ({ kernel }: SharedWork, whole: Whole) => call(kernel, whole(scratch)) },
  });
  const run = (state: number[]) => ({ size: 4, values: vector(), gradients: vector(), state, step: 1 });
  const plain = { lr: 1, weightDecay: 0 };
  const labelled = (x: Matrix, labels: number[]) => ({ x, labels: h.i32(labels), ignoreIndex: -100 });
  const low = (R: number) => ({ left: matrix(0, 2, R), right: on(R, 4) });
  const forward = (scratch: number): void => {
    const { whole } = forwardCall(packed, {
      ...{ x: on(2, 4), w: weight(vector(), 3, 4), low: NO_RANK, colScale: 0, bias: 0, y: on(2, 3) },
    });
    call('linearForward', whole(scratch));
  };
  const backward = (w: Weight, R: number): void => {
    const { whole } = backwardInputCall(48, { dy: on(2, 3), w, low: low(R), accumulate: set, dx: on(2, 4) });
    call('linearBackwardInput', whole(0));
  };

  /** The first panel of three queries of four keys, the first of them at `offset`. */
  const attend = (offset: number, scratch: number): void => {
    const shape = { B: 1, T: 3, S: 4, heads: 1, kvHeads: 1, D: 2, scale: 1, window: 0, offset };
    const inputs = { q: vector(), k: vector(), v: vector(), starts: 0 };
    const { kernel, panels } = forwardPanels(shape, inputs, { y: vector(), lse: 0 });
    call(kernel, panels(0, 1, scratch));
  };

  const WRONG: Record<string, readonly [() => unknown, string]> = {
    'queries beyond the keys of attention': [
      () => attend(2, vector()),
      'attentionForward: the last query has its key, got 5, limit 4',
    ],
    'no scratch for attention': [() => attend(0, 0), 'attentionForward: scratch: a pointer is not null'],
    'a position beyond the table': [
      () => {
        const table = { cos: vector(), sin: vector(), length: 5, half: 2 };
        turn(h, on(1, 4), table, { positions: h.i32([5]), period: 1 }, 0, gradientIn(on(1, 4), set));
      },
      'rotate: positions: an index is inside its table, got 5, limit 5',
    ],
    'a row behind its period': [
      () => h.kernels.rotate(1, 1, 2, vector(), 4, 0, 3, 3, 5, vector(), vector(), 0, 0, vector(), 4),
      'rotate: first: a row begins within its period, got 3, limit 3',
    ],
    'a negative size': [
      () => h.kernels.add(-1, vector(), vector(), vector()),
      'add: n; a, b, y: a size is 0 or more, got -1, limit 0',
    ],
    'a null input': [
      () => down(h, { x: on(2, 3, 0), a: on(4, 3), h: on(2, 4) }),
      'loraDown: x: a pointer is not null, got 0, limit 0',
    ],
    'a null output': [
      () => softmaxTo(h.kernels, on(2, 3), on(2, 3, 0)),
      'softmaxForward: y: a pointer is not null',
    ],
    'a row behind a null pointer': [
      () => h.kernels.rowNorms(2, 3, 8, 3, vector()),
      'rowNorms: x: a pointer is at the heap base or above, got 8',
    ],
    'an address between two numbers': [
      () => h.kernels.scale(4, 2, vector() + 2, vector()),
      'scale: n; x, y: a pointer is aligned',
    ],
    'rows closer than their columns': [
      () => gradA(h, { u: on(2, 3), x: { ...on(2, 5), stride: 4 }, da: gradientIn(on(3, 5), set) }),
      'loraGradA: x: a stride is at least the columns, got 16, limit 20',
    ],
    'an operand beyond the end of memory': [
      () => h.kernels.sum(3, beyond),
      `sum: n; x: an operand ends inside memory, got ${beyond + 12}`,
    ],
    'no scratch for a product': [() => forward(0), 'linearForward: scratch: a pointer is not null'],
    'scratch that is not aligned': [
      () => hiddenGradient(withScratch(h.scratch(48) + 4), { s: 1, dy: on(2, 3), b: on(3, 4), u: on(2, 4) }),
      'loraBackwardHidden: scratch: a pointer is aligned',
    ],
    'no scratch for a gradient of B': [
      () => gradB(withScratch(0), { s: 1, dy: on(2, 3), h: on(2, 4), db: gradientIn(on(3, 4), set) }),
      'loraGradB: scratch: a pointer is not null',
    ],
    'no left factor though there is a rank': [
      () => backward(weight(vector(), 3, 4), 2),
      'linearBackwardInput: u: a pointer is not null',
    ],
    'columns beyond the rows of a weight': [
      () => backward(weightColumns(weight(vector(), 3, 4), 1, 4), 0),
      'linearBackwardInput: w: a stride is at least the columns, got 16, limit 20',
    ],
    'a type of weight that is not known': [
      () => gatherRows(h.kernels, h.i32([0]), { ...weight(vector(), 1, 4), code: 9 }, on(1, 4)),
      'gatherRows: table: the type of a weight is known, got 9',
    ],
    'a stride that cuts a number of a weight': [
      () => gatherRows(h.kernels, h.i32([0]), { ...weight(vector(), 1, 4), step: 18 }, on(1, 4)),
      'gatherRows: table: a stride is a multiple of an element, got 18, limit 4',
    ],
    'a path that is none': [
      () => h.kernels.productScratch(80, 0, 4),
      'productScratch: a path is one of plan.ts, got 80',
    ],
    'a type that is not read as it lies': [
      () => h.kernels.productScratch(64, 1, 4),
      'productScratch: a type that is read as it lies, got 1',
    ],
    'a label beyond the classes': [
      () => crossEntropyTo(h, labelled(on(2, 3), [0, 3]), vector()),
      'crossEntropyForward: labels: an index is inside its table, got 3, limit 3',
    ],
    'a negative id': [
      () => scatterAddRows(h.kernels, h.i32([-2]), -1, on(1, 3), on(1, 3)),
      'scatterAddRows: ids: an index is inside its table, got -2',
    ],
    'a place beyond its plane': [
      () => {
        const plane = { ...image(1), C: 1, H: 2, W: 2, OH: 1, OW: 1 };
        maxPoolGradient(h.kernels, plane, { indices: h.i32([4]), dy: vector(), dx: vector() });
      },
      'maxPool2dBackward: indices: an index is inside its table, got 4, limit 4',
    ],
    'a window that does not step': [
      () => columnsFrom(h.kernels, image(0), vector(), vector(400)),
      'im2col: stride and dilation: a step is 1 or more, got 0, limit 1',
    ],
    'no columns of an image': [
      () => addColumnsTo(h.kernels, image(1), 0, vector()),
      'col2im: cols: a pointer is not null',
    ],
    'moments that are null': [
      () =>
        stepAdam(h.kernels, run([0, vector()]), { ...plain, betas: [0.9, 0.9], eps: 1, decoupled: false }),
      'adamStep: m: a pointer is not null',
    ],
    'nowhere to draw to': [
      () =>
        normalTo(h.kernels, { seedLow: 1, seedHigh: 2, stream: 3, layer: 4, step: 5 }, 1, {
          size: 4,
          pointer: 0,
        }),
      'randomNormal: y: a pointer is not null',
    ],
  };

  test.each(Object.entries(WRONG))('%s is refused', (_, [call, message]) => {
    h.reset();
    expect(call).toThrow(message);
  });

  test('nothing is asked of an operand without elements, or of one that may be absent', () => {
    h.reset();
    h.kernels.add(0, 0, 0, 0);
    down(h, { x: on(0, 3, 0), a: on(4, 3), h: on(0, 4, 0) });
    addProduct(h.kernels, { s: 1, b: on(2, 0, 0), a: on(0, 3, 0), w: on(2, 3), out: on(2, 3) });
    normalise(h.kernels, 1e-5, { x: on(2, 3), gamma: 0, beta: 0, y: on(2, 3), stats: vector() });
    stepSgd(h.kernels, run([]), { ...plain, momentum: 0, dampening: 0, nesterov: false });
  });

  test('what is written behind an operand, in the gaps of its rows or before scratch is found', () => {
    h.reset();
    h.kernels.fill(5, 1, vector(4));
    expect(() => h.checkGuards()).toThrow('a kernel wrote outside a matrix [1, 4]');
    h.kernels.fill(4, 1, h.matrix(2, 3, [1, 2, 3, 4, 5, 6], 2).pointer);
    expect(() => h.checkGuards()).toThrow('a kernel wrote outside the rows of a matrix [2, 3]');
    h.kernels.fill(2, 1, h.scratch(16) - 4);
    expect(() => h.checkGuards()).toThrow('a kernel wrote outside its scratch of 16 bytes');
    h.kernels.fill(4, 1, vector(4));
    h.checkGuards();
  });

  test('every kernel that takes a pointer asserts something: none takes what is wrong in all of its arguments', () => {
    h.reset();
    // Those that only tell sizes take no pointer.
    const kernels = Object.entries(h.kernels).filter(
      ([name]) => !/^heapBase$|^simdLevel$|Scratch$/.test(name),
    );
    expect(kernels.length).toBeGreaterThan(50);
    for (const [name, kernel] of kernels)
      if (typeof kernel === 'function') {
        // Every argument 1: sizes and strides of one element, and addresses that none can have.
        const call = kernel as (...args: number[]) => unknown;
        expect(() => call(...new Array<number>(call.length).fill(1)), name).toThrow(`${name}: `);
      }
  });
}, 'debug');

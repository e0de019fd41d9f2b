/** Wrong arguments of kernels in the debug build: an error that names the kernel, its operand, what is asked and what was got. */
import { expect, test } from 'vitest';
import { describeBuilds } from './harness.js';

describeBuilds((h) => {
  const vector = (n = 64): number => h.f32(new Array<number>(n).fill(1));
  const packed = 16 + 4;
  const image = [2, 4, 4, 3, 3, 1, 1, 1, 1, 1, 1, 4, 4] as const;
  const beyond = 512 * 65536 - 8;

  const WRONG: Record<string, readonly [() => unknown, string]> = {
    'a negative size': [
      () => h.kernels.add(-1, vector(), vector(), vector()),
      'add: n; a, b, y: a size is 0 or more, got -1, limit 0',
    ],
    'a null input': [
      () => h.kernels.loraDown(2, 3, 4, 0, 3, vector(), 3, vector(), 4),
      'loraDown: x: a pointer is not null, got 0, limit 0',
    ],
    'a null output': [
      () => h.kernels.softmaxForward(2, 3, vector(), 3, 0, 3),
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
      () => h.kernels.loraGradA(2, 5, 3, vector(), 3, vector(), 4, 0, vector(), 5),
      'loraGradA: x: a stride is at least the columns, got 16, limit 20',
    ],
    'an operand beyond the end of memory': [
      () => h.kernels.sum(3, beyond),
      `sum: n; x: an operand ends inside memory, got ${beyond + 12}`,
    ],
    'no scratch for a product': [
      () =>
        h.kernels.linearForward(
          packed,
          2,
          3,
          4,
          0,
          vector(),
          4,
          0,
          vector(),
          16,
          0,
          0,
          0,
          0,
          0,
          0,
          vector(),
          3,
          0,
        ),
      'linearForward: scratch: a pointer is not null',
    ],
    'scratch that is not aligned': [
      () =>
        h.kernels.loraBackwardHidden(2, 3, 4, 1, vector(), 3, vector(), 4, vector(), 4, h.scratch(48) + 4),
      'loraBackwardHidden: scratch: a pointer is aligned',
    ],
    'no scratch for a gradient of B': [
      () => h.kernels.loraGradB(2, 3, 4, 1, vector(), 3, vector(), 4, 0, vector(), 4, 0),
      'loraGradB: scratch: a pointer is not null',
    ],
    'no left factor though there is a rank': [
      () =>
        h.kernels.linearBackwardInput(
          48,
          2,
          3,
          4,
          2,
          vector(),
          3,
          0,
          vector(),
          16,
          0,
          0,
          2,
          vector(),
          4,
          0,
          vector(),
          4,
          0,
        ),
      'linearBackwardInput: u: a pointer is not null',
    ],
    'columns beyond the rows of a weight': [
      () =>
        h.kernels.linearBackwardInput(
          48,
          2,
          3,
          4,
          0,
          vector(),
          3,
          0,
          vector(),
          16,
          1,
          0,
          0,
          0,
          0,
          0,
          vector(),
          4,
          0,
        ),
      'linearBackwardInput: w: a stride is at least the columns, got 16, limit 20',
    ],
    'a type of weight that is not known': [
      () => h.kernels.gatherRows(1, 4, h.i32([0]), 7, vector(), 16, vector(), 4),
      'gatherRows: table: the type of a weight is known, got 7',
    ],
    'a stride that cuts a number of a weight': [
      () => h.kernels.gatherRows(1, 4, h.i32([0]), 0, vector(), 18, vector(), 4),
      'gatherRows: table: a stride is a multiple of an element, got 18, limit 4',
    ],
    'a path that is none': [
      () => h.kernels.productScratch(64, 0, 4),
      'productScratch: a path is one of plan.ts, got 64',
    ],
    'a label beyond the classes': [
      () => h.kernels.crossEntropyForward(2, 3, vector(), 3, h.i32([0, 3]), -100, vector()),
      'crossEntropyForward: labels: an index is inside its table, got 3, limit 3',
    ],
    'a negative id': [
      () => h.kernels.scatterAddRows(1, 3, h.i32([-2]), -1, vector(), 3, vector(), 3),
      'scatterAddRows: ids: an index is inside its table, got -2',
    ],
    'a place beyond its plane': [
      () => h.kernels.maxPool2dBackward(1, 4, 1, h.i32([4]), vector(), vector()),
      'maxPool2dBackward: indices: an index is inside its table, got 4, limit 4',
    ],
    'a window that does not step': [
      () => h.kernels.im2col(2, 4, 4, 3, 3, 0, 1, 1, 1, 1, 1, 4, 4, vector(), vector(400)),
      'im2col: stride and dilation: a step is 1 or more, got 0, limit 1',
    ],
    'no columns of an image': [
      () => h.kernels.col2im(...image, 0, vector()),
      'col2im: cols: a pointer is not null',
    ],
    'moments that are null': [
      () => h.kernels.adamStep(4, vector(), vector(), 0, vector(), 1, 0.9, 0.9, 1, 0, 0, 1, 1),
      'adamStep: m: a pointer is not null',
    ],
    'nowhere to draw to': [
      () => h.kernels.randomNormal(4, 1, 2, 3, 4, 5, 1, 0),
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
    h.kernels.loraDown(0, 3, 4, 0, 3, vector(), 3, 0, 4);
    h.kernels.loraMerge(2, 3, 0, 1, 0, 0, 0, 3, vector(), 3, vector(), 3);
    h.kernels.layerNormForward(2, 3, 1e-5, vector(), 3, 0, 0, vector(), 3, vector());
    h.kernels.sgdStep(4, vector(), vector(), 0, 1, 0, 0, 0, 0, 1);
  });

  test('what is written behind an operand, in the gaps of its rows or before scratch is found', () => {
    h.reset();
    h.kernels.fill(5, 1, vector(4));
    expect(() => h.checkGuards()).toThrow('a kernel wrote outside a matrix [1, 4]');
    h.kernels.fill(4, 1, h.matrix(2, 3, [1, 2, 3, 4, 5, 6], 2).ptr);
    expect(() => h.checkGuards()).toThrow('a kernel wrote outside the rows of a matrix [2, 3]');
    h.kernels.fill(2, 1, h.scratch(16) - 4);
    expect(() => h.checkGuards()).toThrow('a kernel wrote outside its scratch of 16 bytes');
    h.kernels.fill(4, 1, vector(4));
    h.checkGuards();
  });

  test('every kernel that takes a pointer asserts something: none takes what is wrong in all of its arguments', () => {
    h.reset();
    const { heapBase, simdLevel, productScratch, ...kernels } = h.kernels;
    expect(Object.keys(kernels).length).toBeGreaterThan(50);
    for (const [name, kernel] of Object.entries(kernels))
      if (typeof kernel === 'function') {
        // Every argument 1: sizes and strides of one element, and addresses that none can have.
        const call = kernel as (...args: number[]) => unknown;
        expect(() => call(...new Array<number>(call.length).fill(1)), name).toThrow(`${name}: `);
      }
  });
}, 'debug');

/** A row fails for each thing that can be wrong with what it reports. */
import { describe, expect, test } from 'vitest';
import { faults, type Reference, type Report, type Run } from './report.js';

const NODE: Run = {
  ...{ kernels: 'simd', threads: 1, threadsReason: 'asked for' },
  ...{ summary: 'trainable params: 78', loss: 0.5, product: '9:ab' },
};
const REFERENCE: Reference = { runs: { simd: NODE }, product: '9:ab' };
const GOOD: Report = { printed: 'trainable params: 78 loss 0.5', one: NODE, two: { ...NODE, threads: 2 } };

/** The same change in all three runs. */
function everywhere(change: Partial<Run>): Report {
  const one = { ...GOOD.one, ...change };
  return { printed: `${one.summary} loss ${one.loss}`, one, two: { ...GOOD.two, ...change } };
}

test('what Node computes is right, and so is a loss within the bound', () => {
  expect(faults(GOOD, REFERENCE, true)).toEqual([]);
  expect(faults(everywhere({ loss: 0.500009 }), REFERENCE, true)).toEqual([]);
});

test('a runtime without threads gives one and its reason', () => {
  expect(faults({ ...GOOD, two: NODE }, REFERENCE, false)).toEqual([]);
  expect(faults({ ...GOOD, two: NODE }, REFERENCE, true)).toEqual([
    'two threads: got 1, expected 2 (asked for)',
  ]);
  const silent = { ...GOOD, two: { ...NODE, threadsReason: '' } };
  expect(faults(silent, REFERENCE, false)).toEqual(['two threads: no reason is given for one']);
});

describe('a fault', () => {
  test.each<[string, Report]>([
    ['the product of whole numbers is 9:ac', everywhere({ product: '9:ac' })],
    ['the loss is 0.50002, in Node 0.5', everywhere({ loss: 0.50002 })],
    ['the loss is NaN', everywhere({ loss: Number.NaN })],
    ["the summary is 'trainable params: 79'", everywhere({ summary: 'trainable params: 79' })],
    ["kernels are 'slow'", everywhere({ kernels: 'slow' })],
    ["the quickstart printed 'nothing'", { ...GOOD, printed: 'nothing' }],
    ["the quickstart's loss is 0.25", { ...GOOD, printed: 'trainable params: 78 loss 0.25' }],
    ['two threads: the loss is 0.500001, with one 0.5', { ...GOOD, two: { ...GOOD.two, loss: 0.500001 } }],
    ['one thread: 2 were taken', { ...GOOD, one: { ...NODE, threads: 2 } }],
  ])('%s', (sentence, report) => {
    expect(faults(report, REFERENCE, true).join('; ')).toContain(sentence);
  });
});

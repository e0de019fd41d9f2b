/** The mean loss of rows: that of PyTorch, and by whole logits; what counts and what is refused. */
import { afterAll, expect, test } from 'vitest';
import { createRuntime, crossEntropy } from '../../src/index.js';
import { meanLoss } from '../../src/models/index.js';
import { goldenTensors, pick } from '../golden-support/files.js';
import { loadTiny } from '../support/tiny-golden.js';

const rt = await createRuntime({ threads: 1 });
const lm = await loadTiny(rt, 300);
const { model } = lm;
afterAll(() => rt.dispose());

/** Sum of the losses over whole logits. */
function byLogits(ids: number[], labels: readonly number[] = ids): number {
  const targets = [...labels.slice(1), -100];
  return rt.scope(() => {
    const logits = model.forward(rt.tensor(Int32Array.from(ids), [1, ids.length]));
    const losses = crossEntropy(logits, rt.tensor(Int32Array.from(targets), [1, ids.length]), {
      reduction: 'none',
    });
    return [...losses.toArray()].reduce((sum, loss) => sum + loss, 0);
  });
}

const row = (length: number, step: number): number[] =>
  Array.from({ length }, (_, i) => (i * i * step + i) % 101);

test('is that of PyTorch over labelled rows', () => {
  const io = goldenTensors('tiny/llama/io.safetensors');
  const [ids, labels] = [pick(io, 'ids'), pick(io, 'labels')];
  const T = ids.shape[1]!;
  const rows = [0, 1].map((b) => ({
    ids: ids.data.slice(b * T, (b + 1) * T),
    labels: labels.data.slice(b * T, (b + 1) * T),
  }));
  const { loss, tokens, perplexity } = meanLoss(model, rows);
  expect(Math.abs(loss - pick(io, 'loss').data[0]!)).toBeLessThan(2e-5);
  expect(tokens).toBe(
    [0, 1].flatMap((b) => [...labels.data.slice(b * T + 1, (b + 1) * T)]).filter((l) => l !== -100).length,
  );
  expect(perplexity).toBe(Math.exp(loss));
});

test('weighs every token alike, over strips of long rows, and leaves memory as it was', () => {
  const rows = [row(200, 3), row(2, 5), [7], row(65, 1)];
  meanLoss(model, rows);
  const before = rt.memory();
  const { loss, tokens } = meanLoss(model, rows);
  expect(rt.memory()).toEqual(before);
  expect(tokens).toBe(199 + 1 + 0 + 64);
  const sum = rows.reduce((all, ids) => all + byLogits(ids), 0);
  expect(Math.abs(loss - sum / tokens)).toBeLessThan(1e-5);
});

test('counts what has a label', () => {
  const ids = row(150, 2);
  const labels = ids.map((id, i) => (i > 20 && i < 140 ? -100 : id));
  const { loss, tokens } = meanLoss(model, [{ ids, labels }]);
  expect(tokens).toBe(20 + 10);
  expect(Math.abs(loss - byLogits(ids, labels) / 30)).toBeLessThan(1e-5);
  const none = { loss: 0, tokens: 0, perplexity: 1 };
  expect(meanLoss(model, [{ ids, labels: ids.map(() => -100) }])).toEqual(none);
  expect(meanLoss(model, [])).toEqual(none);
});

test('refuses rows that are none', () => {
  const bad = (value: unknown): never => value as never;
  const call = (rows: unknown) => () => meanLoss(model, bad(rows));
  expect(call('text')).toThrow(new TypeError("meanLoss: rows is 'text', expected an array of rows"));
  expect(call([[1, 'a']])).toThrow(new TypeError("meanLoss: row 0: id 1 is 'a', expected a number"));
  expect(call([[1], []])).toThrow(new RangeError('meanLoss: row 1 has 0 tokens, expected 1 to 300'));
  expect(call([Array(301).fill(1)])).toThrow('meanLoss: row 0 has 301 tokens, expected 1 to 300');
  expect(call([[101]])).toThrow(new RangeError('meanLoss: row 0: id 0 is 101, expected 0 to 100'));
  expect(call([{ ids: [1, 2], labels: [1] }])).toThrow(
    'meanLoss: row 0: labels are 1, expected one for each of 2 ids',
  );
  expect(call([{ ids: [1, 2], labels: [1, -5] }])).toThrow(
    'meanLoss: row 0: labels: id 1 is -5, expected 0 to 100',
  );
  expect(() => meanLoss(bad(lm), [])).toThrow(TypeError);
});

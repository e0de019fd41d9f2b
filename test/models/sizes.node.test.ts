/** The sizes that docs/models.md states: a weight's and the largest model's by type, and the real model's. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { plannedBytes, planTensors } from '../../src/models/plan.js';
import { openModel } from '../../src/models/source/open-model.js';
import { DTYPE_INFO, WEIGHT_DTYPES } from '../../src/values/dtypes.js';
import { HAS_MODEL, MODEL_URL } from '../golden-support/smollm2.js';

const PAGE = readFileSync(new URL('../../docs/models.md', import.meta.url), 'utf8');
/** Linear memory at most. */
const LAST = 65_535 * 65_536;

test('the page has every type with its bytes and the largest model', () => {
  const rows = [...PAGE.matchAll(/^\| ([\w, ]+) \| ([\d.]+) \| ([\d.]+) \|$/gm)];
  const named = rows.flatMap(([, names]) => names!.split(', '));
  expect(named.sort()).toEqual([...WEIGHT_DTYPES].sort());
  for (const [, names, each, largest] of rows)
    for (const name of names!.split(', ')) {
      const { bytes, elements } = DTYPE_INFO[WEIGHT_DTYPES.find((dtype) => dtype === name)!];
      expect(Math.abs(Number(each) - bytes / elements), name).toBeLessThan(0.005);
      expect(Number(largest), name).toBe(Math.floor(LAST / (bytes / elements) / 1e8) / 10);
    }
});

test.skipIf(!HAS_MODEL)('the page has the sizes of SmolLM2', async () => {
  const source = await openModel('test', MODEL_URL);
  const megabytes = (weights: 'stored' | 'f32'): number =>
    Math.round(plannedBytes(planTensors(source, weights)) / 1e6);
  const { numHiddenLayers, numKeyValueHeads, headDim } = source.config;
  const token = Math.round((8 * numHiddenLayers * numKeyValueHeads * headDim) / 1000);
  expect(PAGE).toContain(
    `in q4_1 takes ${megabytes('stored')} MB, or ${megabytes('f32')} MB as float32, and ${token} KB more for each token of a cache`,
  );
});

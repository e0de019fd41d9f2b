/** How many patterns are compiled: counted on RE2JS itself, which the built package has inside. */
import { RE2JS } from 're2js';
import { expect, test, vi } from 'vitest';
import { exactKey, PatternValues } from '../../src/patterns/rules.js';

test('thousands of keys of plain text compile no pattern, others one each', () => {
  const compile = vi.spyOn(RE2JS, 'compile');
  const names = Array.from({ length: 300 }, (_, i) => `model.layers.${i}.self_attn.q_proj`);
  const plain = Array.from({ length: 3000 }, (_, i): [string, number] => [
    i % 3 === 0 ? exactKey(`model.layers.${i}.self_attn.q_proj`) : `layers.${i}.self_attn.q_proj`,
    i + 1,
  ]);
  const values = new PatternValues('test', new Map(plain));
  expect(names.map((name) => values.valueOf(name))).toEqual(names.map((_, i) => i + 1));
  expect(values.unmatched(names)).toHaveLength(2700);
  expect(compile).toHaveBeenCalledTimes(0);
  const patterns = Array.from({ length: 20 }, (_, i): [string, number] => [`.*attn.*${i}|x*`, i]);
  new PatternValues('test', new Map(patterns)).unused(names);
  expect(compile).toHaveBeenCalledTimes(20);
  compile.mockRestore();
});

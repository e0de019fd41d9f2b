/** PEFT's rules for choosing modules, ranks and alphas, each as observed by running PEFT. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { selectTargets } from '../../src/lora/config/targets.js';
import { compilePattern } from '../../src/patterns/pattern.js';
import { plainPattern } from '../../src/patterns/plain-pattern.js';
import { PatternValues } from '../../src/patterns/rules.js';

const NAMES = [
  'q',
  'layers.0.q',
  'model.layers.0.q',
  'model.layers.1.q',
  'model.layers.10.q',
  'model.layers.1.mlp.experts.0.q',
  'model.layers.1.xq',
  'enc.h.1.q',
];

const NONE = { excludeModules: null, layersToTransform: null, layersPattern: null, modulesToSave: [] };
const MODEL = { all: NAMES, adaptable: NAMES, linear: NAMES };
const select = (targetModules: readonly string[] | string, more: object = {}): readonly string[] =>
  selectTargets('test', MODEL, { ...NONE, targetModules, ...more }).paths;

test('suffixes end at a dot; patterns match whole names; all-linear takes all', () => {
  expect(select(['q'])).toEqual(NAMES.filter((name) => name !== 'model.layers.1.xq'));
  expect(select('q')).toEqual(['q']);
  expect(select('.*q')).toEqual(NAMES);
  expect(select('.*\\.q')).toEqual(NAMES.filter((name) => name !== 'q' && name !== 'model.layers.1.xq'));
  expect(select('ALL-linear')).toEqual(NAMES);
});

test('layer numbers filter suffixes alone, and need a segment before the list', () => {
  expect(select(['q'], { layersToTransform: [0] })).toEqual(['q', 'model.layers.0.q']);
  expect(select(['q'], { layersToTransform: 1 })).toEqual([
    'q',
    'model.layers.1.q',
    'model.layers.1.mlp.experts.0.q',
    'enc.h.1.q',
  ]);
  expect(select(['q'], { layersToTransform: [1], layersPattern: 'h' })).toEqual(['q', 'enc.h.1.q']);
  expect(select(['q'], { layersToTransform: [] })).toHaveLength(7);
  expect(select(['q', 'xq'], { layersToTransform: [10] })).toEqual(['q', 'model.layers.10.q']);
});

test('exclusions by suffix and by pattern; nothing left is an error', () => {
  expect(select(['q'], { excludeModules: ['0.q', 'h.1.q'] })).toEqual([
    'q',
    'model.layers.1.q',
    'model.layers.10.q',
  ]);
  expect(select('.*q', { excludeModules: 'model.*' })).toEqual(['q', 'layers.0.q', 'enc.h.1.q']);
  expect(() => select(['q'], { excludeModules: ['q'] })).toThrow('leave no layer');
});

test('a target, exclusion or key that matches nothing is an error that names it', () => {
  expect(() => select(['q_porj'])).toThrow("target 'q_porj' matches no layer");
  expect(() => select(['q'], { excludeModules: ['nix'] })).toThrow("exclusion 'nix' matches no layer");
  expect(
    new PatternValues(
      'test',
      new Map([
        ['q_porj', 4],
        ['q', 8],
      ]),
    ).unmatched(NAMES),
  ).toEqual(['q_porj']);
});

test('ranks and alphas are looked up apart; the first key that matches wins, in the order of the file', () => {
  const value = (entries: [string, number][], name: string): number | null =>
    new PatternValues('test', new Map(entries)).valueOf(name);
  expect(
    value(
      [
        ['q', 4],
        ['model.layers.0.q', 9],
      ],
      'model.layers.0.q',
    ),
  ).toBe(4);
  expect(value([['^q', 4]], 'model.layers.0.q')).toBeNull();
  expect(value([['^model.layers.0.q', 4]], 'model.layers.0.q')).toBe(4);
  expect(value([['q|k', 4]], 'a.k')).toBe(4);
  expect(value([['q', 4]], 'a.xq')).toBeNull();
  expect(value([['.*attn.*', 32]], 'layers.0.attn.q')).toBe(32);
});

test('keys of plain text match what the regular expression matches', () => {
  const part = fc.constantFrom('a', 'b', '.', '\\.', '\\$', '-', '\u{1f600}', '_');
  const names = fc.array(fc.constantFrom('a', 'b', '.', '$', '-', '\u{1f600}', '\n', '_'), { maxLength: 8 });
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.array(part, { minLength: 1, maxLength: 4 }),
      names,
      (anchored, key, name) => {
        const text = (anchored ? '^' : '') + key.join('');
        const expected = compilePattern('test', text, '(?:.*\\.)?').matches(name.join(''));
        expect(plainPattern(text)?.matches(name.join(''))).toBe(expected);
      },
    ),
    { numRuns: 300 },
  );
});

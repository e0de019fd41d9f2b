/** Which token is chosen: against a plain reading of transformers' definitions, and the same everywhere for a seed. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exponential } from '../../src/models/exponential.js';
import { Sampler, type SamplingOptions } from '../../src/models/sampling.js';

const sampler = (options: SamplingOptions, prompt: number[] = []) => new Sampler('test', options, prompt);
const logitsOf = (size: number) =>
  fc.array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: size, maxLength: size });

test('exp is within 4 units of the last place, from 0 down to where it vanishes', () => {
  for (let x = 0; x > -700; x -= 0.37) {
    const exact = Math.exp(x);
    expect(Math.abs(exponential(x) - exact)).toBeLessThanOrEqual(4 * 2 ** -52 * exact);
  }
  expect([exponential(0), exponential(-701), exponential(Number.NEGATIVE_INFINITY)]).toEqual([1, 0, 0]);
});

test('without temperature the likeliest is taken, the first of equals, and so it is of one candidate', () => {
  const greedy = sampler({});
  expect(greedy.next(Float32Array.of(1, 3, 2, 3))).toBe(1);
  expect(greedy.next(Float32Array.of(-5, -4, Number.NEGATIVE_INFINITY))).toBe(1);
  fc.assert(
    fc.property(logitsOf(300), fc.nat(2 ** 31), (values, seed) => {
      const best = values.map(Math.fround).indexOf(Math.max(...values.map(Math.fround)));
      for (const options of [{ topK: 1 }, { topP: 1e-9 }])
        expect(sampler({ temperature: 1, seed, ...options }).next(Float32Array.from(values))).toBe(best);
    }),
    { numRuns: 50 },
  );
});

/** The ids that may be drawn with their probabilities, as transformers defines top-k and top-p. */
function distribution(values: number[], { temperature = 1, topK = 0, topP = 1 }: SamplingOptions) {
  const order = values.map((_, id) => id).sort((a, b) => values[b]! - values[a]! || a - b);
  const among = topK === 0 ? order : order.slice(0, topK);
  const weights = among.map((id) => Math.exp((values[id]! - values[among[0]!]!) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let [sum, count] = [0, 0];
  while (count < among.length && sum < topP * (1 - 1e-12)) sum += weights[count++]! / total;
  const kept = weights.slice(0, count).reduce((all, weight) => all + weight, 0);
  return new Map(among.slice(0, count).map((id, i) => [id, weights[i]! / kept]));
}

describe('draws are of the tokens allowed, as often as they are likely', () => {
  test.each<[string, SamplingOptions, size: number, draws: number]>([
    ['all', { temperature: 1 }, 40, 5000],
    ['hotter', { temperature: 2.5 }, 40, 5000],
    ['top-k', { temperature: 0.8, topK: 5 }, 40, 5000],
    ['top-p', { temperature: 1.3, topP: 0.7 }, 40, 5000],
    ['top-p over very many', { temperature: 30, topP: 0.95 }, 600, 600],
    ['both', { temperature: 1.5, topK: 12, topP: 0.8 }, 40, 5000],
  ])('%s', (_, options, size, draws) => {
    const values = Array.from({ length: size }, (_, i) => Math.fround(6 * Math.sin(i * i + 1)));
    const expected = distribution(values, options);
    const one = sampler({ ...options, seed: 11 });
    const found = new Map<number, number>();
    for (let i = 0; i < draws; i++) {
      const id = one.next(Float32Array.from(values));
      found.set(id, (found.get(id) ?? 0) + 1);
    }
    for (const id of found.keys()) expect(expected.has(id), `token ${id}`).toBe(true);
    // Five standard deviations; the seed is fixed, so that it holds always or never.
    for (const [id, p] of expected) {
      const off = Math.abs((found.get(id) ?? 0) - draws * p);
      expect(off, `token ${id}`).toBeLessThan(5 * Math.sqrt(draws * p) + 1);
    }
  });
});

test('tokens that were there are less likely by the penalty, those written too', () => {
  const one = sampler({ repetitionPenalty: 2 }, [0, 3]);
  expect(one.next(Float32Array.of(4, 1, 3, -1))).toBe(2);
  expect(one.next(Float32Array.of(4, 1, 3, -1))).toBe(0);
  const logits = Float32Array.of(4, 1, 3, -1);
  one.next(logits);
  expect([...logits]).toEqual([2, 1, 1.5, -2]);
});

test('a seed draws the same tokens in every engine', () => {
  const values = Float32Array.from({ length: 50_000 }, (_, i) => ((i * 7919) % 997) / 100);
  const drawn = (seed: number, options: SamplingOptions) => {
    const one = sampler({ temperature: 0.9, seed, ...options });
    return Array.from({ length: 6 }, () => one.next(values.slice()));
  };
  expect(drawn(0, {})).toEqual([49081, 29003, 24331, 11826, 18406, 47227]);
  expect(drawn(1, { topP: 0.9 })).toEqual([48329, 23299, 11460, 30400, 10565, 44043]);
  expect(drawn(2 ** 32 - 1, { topK: 40 })).toEqual([17981, 2029, 33933, 30942, 24960, 36924]);
  expect(drawn(2, { topK: 20_000, topP: 0.5 })).toEqual([2082, 28896, 26762, 46650, 33741, 37064]);
  expect(drawn(3, { topK: 700 })).toEqual([46212, 10425, 29018, 33251, 14028, 41157]);
  expect(drawn(4, { topP: 0.01 })).toEqual([15987, 1032, 13993, 10005, 4023, 37921]);
  expect(drawn(7, { topP: 0.999, temperature: 30 })).toEqual([35270, 16798, 27560, 30166, 25882, 32974]);
  expect(drawn(0, {})).not.toEqual(drawn(1, {}));
});

describe('refused is', () => {
  test.each<[string, SamplingOptions, RegExp]>([
    ['a temperature below 0', { temperature: -1 }, /test: temperature is -1, expected a number from 0/],
    ['half a token', { topK: 1.5 }, /test: topK is 1\.5, expected an integer from 0/],
    ['no probability', { topP: 0 }, /test: topP is 0, expected a number from/],
    ['a penalty of 0', { repetitionPenalty: 0 }, /test: repetitionPenalty is 0/],
    ['a seed below 0', { seed: -1 }, /test: seed is -1, expected an integer from 0 to 4294967295/],
  ])('%s', (_, options, message) => {
    expect(() => sampler(options)).toThrow(RangeError);
    expect(() => sampler(options)).toThrow(message);
  });

  test('logits that are no numbers', () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => sampler({}).next(Float32Array.of(1, bad, 2))).toThrow(RangeError);
  });
});

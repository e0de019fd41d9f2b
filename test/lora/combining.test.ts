/** Weighted adapters against the sum of their deltas: negative weights, and every combination by name. */
import { expect, test } from 'vitest';
import { apart, largestOf } from '../support/layers.js';
import { describeRuntimes } from '../support/runtimes.js';
import { layersOf, sumOfDeltas, twoLinears } from '../support/two-linears.js';

describeRuntimes('merge, unmerge, arithmetic', (rt) => {
  test.each([
    ['a weight of -1 subtracts', { a: -1 }],
    ['the mean of two is the mean of their deltas', { a: 0.5, b: 0.5 }],
    ['negative weights work', { a: 1, b: -0.5 }],
  ] as const)('%s', (_, weights) => {
    for (const combinationType of ['cat', 'svd'] as const) {
      const lora = twoLinears(rt(), ['a', 'b']);
      const layer = layersOf(lora)[0]!;
      const want = sumOfDeltas(layer, weights);
      const before = layer.weight.toArray();
      const name = lora.addWeightedAdapter(Object.keys(weights), Object.values(weights), {
        combinationType,
        svdRank: 7,
      });
      expect(apart(layer.deltaWeight(name).toArray(), want)).toBeLessThan(1e-5 * largestOf(want));
      lora.setAdapter(name);
      lora.merge();
      const moved = layer.weight.toArray().map((w, i) => w - before[i]!);
      expect(apart(moved, want)).toBeLessThan(1e-5 * (largestOf(want) + largestOf(before)));
      expect(layer.scaling).toBe(1);
    }
  });

  test('a negative weight is the negative of an adapter, and works in every combination; what is not known is refused by name', () => {
    for (const combinationType of [
      'linear',
      'dare_linear',
      'ties',
      'dare_ties',
      'magnitude_prune',
      'ties_svd',
    ] as const) {
      const lora = twoLinears(rt(), ['a', 'b', 'minus']);
      const layer = layersOf(lora)[0]!;
      const [b, minus] = [layer.factors('b'), layer.factors('minus')];
      minus.A.set(b.A.toArray().map((v) => -v));
      minus.B.set(b.B.toArray());
      // Nothing is dropped at random where all is kept.
      const density = combinationType.startsWith('dare') ? 1 : 0.7;
      const combined = (names: string[], weights: number[]) => {
        const name = `of${lora.adapters.length}`;
        lora.addWeightedAdapter(names, weights, { name, combinationType, density });
        return layer.deltaWeight(name).toArray();
      };
      const want = combined(['a', 'minus'], [1, 0.5]);
      expect(largestOf(want)).toBeGreaterThan(0.01);
      const negative = combined(['a', 'b'], [1, -0.5]);
      // The majority of TIES is one of adapters before their weights, as in PEFT, so that there an adapter counts by its own sign.
      if (combinationType.includes('ties')) expect(negative.every(Number.isFinite)).toBe(true);
      else expect(apart(negative, want), combinationType).toBeLessThan(1e-5 * largestOf(want));
      expect(largestOf(negative)).toBeGreaterThan(0.01);
      expect(apart(combined(['a', 'b'], [1, 0.5]), negative), combinationType).toBeGreaterThan(0.01);
    }
    const lora = twoLinears(rt());
    expect(() => lora.addWeightedAdapter(['a'], [1], { combinationType: 'slerp' as 'cat' })).toThrow(
      "combinationType is 'slerp'",
    );
    expect(() => lora.addWeightedAdapter(['a'], [1], { combinationType: 'ties' })).toThrow(
      'density is undefined',
    );
    expect(lora.adapters).toEqual(['a']);
  });
});

/**
 * Adapters over a quantised base: the bits of the same over float32 of its values in every kind of layer, at ranks on every
 * side of the tiles.
 */
import { expect, test } from 'vitest';
import { AdapterError, LoraLinear } from '../../src/index.js';
import { DTYPE_INFO } from '../../src/values/dtypes.js';
import { QUANTISED } from '../support/blocks.js';
import { trainedValues } from '../support/layers.js';
import { expectSame } from '../support/numbers.js';
import { adaptedTwins, attached, BASE_KINDS, basePair, expectAll } from '../support/quantised-layers.js';
import { describeRuntimes } from '../support/runtimes.js';

describeRuntimes('adapters over a quantised base', (rt) => {
  test.each(BASE_KINDS)('$name computes the bits of float32 over its values', (kind) => {
    for (const dtype of QUANTISED)
      for (const options of [{ r: 2 }, { r: 3, useDora: true }]) {
        const [own, other] = adaptedTwins(rt(), dtype, kind, options);
        const x = kind.input(rt(), DTYPE_INFO[dtype].elements);
        const bytes = own.base.weight.bytes();
        expectAll(trainedValues(rt(), own, x), trainedValues(rt(), other, x));
        expect(own.base.weight.grad).toBeNull();
        expectSame(own.base.weight.bytes(), bytes);
        for (const held of [own, other, x]) held.dispose();
      }
  });

  test.each([8, 64, 65])('rank %i, with dropout and without, few rows and many', (r) => {
    for (const dtype of ['q4_1', 'q6_K'] as const)
      for (const [rows, loraDropout] of [
        [2, 0],
        [70, 0.4],
      ] as const) {
        const [own, other] = adaptedTwins(rt(), dtype, BASE_KINDS[0]!, { r, loraDropout });
        const x = rt().normal([rows, DTYPE_INFO[dtype].elements]).keep();
        expectAll(trainedValues(rt(), own, x), trainedValues(rt(), other, x));
        for (const held of [own, other, x]) held.dispose();
      }
  });

  test.each(['pissa', 'pissa_niter_4', 'olora'] as const)(
    '%s is refused by name: what it leaves would be a whole weight in float32',
    (initLoraWeights) => {
      for (const dtype of QUANTISED) {
        const [base] = basePair(rt(), dtype, BASE_KINDS[0]!);
        const bytes = base.weight.bytes();
        const state = (): unknown[] => [rt().memory().held, rt().engine.layers, String(base.weight.bytes())];
        const before = state();
        const named = `initLoraWeights '${initLoraWeights}' on a weight of ${dtype}`;
        expect(() => attached(base, { initLoraWeights })).toThrow(AdapterError);
        expect(() => attached(base, { initLoraWeights })).toThrow(`LoraModel.attach: 0: ${named}`);
        expect(() => LoraLinear.from(base, { initLoraWeights })).toThrow(named);
        expect(state()).toEqual(before);
        // One that takes nothing out goes on.
        const lora = attached(base, { initLoraWeights: 'orthogonal' });
        expectSame(
          lora.withAdaptersDisabled(() => base.weight.bytes()),
          bytes,
        );
        base.dispose();
        lora.dispose();
      }
    },
  );
});

/** Every case and suite refuses wrong results before it times them. */
import { createRuntime } from 'lora-wasm';
import { expect, test } from 'vitest';
import { productCases } from '../../bench/kernels/products.js';
import { vectorCases } from '../../bench/kernels/vectors.js';
import { SUITES, type SuiteName } from '../../bench/suites.js';
import { environmentOf, switchKernels } from './environment.js';

const cases = [...productCases(true), ...vectorCases(true)];

test.each(cases.map((one) => [`${one.operation} ${one.shape}`, one] as const))(
  '%s is accepted as it is, and refused where its kernel does nothing',
  async (_, one) => {
    const rt = await createRuntime({ threads: 1, seed: 1 });
    try {
      const ready = one.prepare(rt);
      ready.run();
      expect(ready.verify).not.toThrow();
      const { off } = switchKernels(rt);
      const fresh = one.prepare(rt);
      off();
      fresh.run();
      expect(fresh.verify).toThrow('verify: ');
    } finally {
      rt.dispose();
    }
  },
);

const PARTS: [SuiteName, RegExp][] = [
  ['bench', /^product/],
  ['bench', /^forward/],
  ['bench', /^training/],
  ['bench', /adapter/],
  ['bench', /^16-bit weights M/],
  ['bench', /^16-bit weights merge/],
  ['kernels', /^skinny/],
  ['scaling', /forward/],
  ['scaling', /training/],
  ['threads', /product/],
  ['llm', /^product .*layer/],
  ['llm', /^input gradient .*head/],
  ['llm', /attention/],
  ['threads', /training/],
];

test.each(PARTS)('%s, %s: a runtime whose kernels do nothing is refused', async (name, part) => {
  const [rt, more] = [await createRuntime({ threads: 1 }), await createRuntime({ threads: 1 })];
  const environment = await environmentOf(rt, more, part);
  switchKernels(name === 'threads' ? more : rt).off();
  const refused = /verify: |other bits|is not exact/;
  await expect(async () => SUITES[name].run(environment)).rejects.toThrow(refused);
  for (const runtime of [rt, more]) runtime.dispose();
});

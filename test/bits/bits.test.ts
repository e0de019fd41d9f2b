/**
 * Results stay what they were to the last bit: hashes of products on every path, of the golden cases and of training steps
 * in the `simd` build, against `test/bits.json`. `UPDATE_BITS=1 npx vitest run --project node test/bits` writes the file
 * anew; a commit that does so changes bits on purpose and says why.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { goldenBits } from './golden.js';
import { productBits } from './products.js';
import { stepBits } from './steps.js';

const file = new URL('../bits.json', import.meta.url);

it('products, golden cases and training steps have the bits that are kept', async () => {
  const bits = { ...productBits(), ...(await goldenBits()), ...(await stepBits()) };
  if (process.env.UPDATE_BITS === '1') writeFileSync(file, `${JSON.stringify(bits, null, 2)}\n`);
  const kept = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
  const names = [...new Set([...Object.keys(kept), ...Object.keys(bits)])];
  expect(names.filter((name) => kept[name] !== (bits as Record<string, string>)[name])).toEqual([]);
});

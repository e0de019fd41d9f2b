/** The README's quickstart runs as it is written, in Node and in a page, with each kernel build, and prints what it says. */
import { expect, test, vi } from 'vitest';
import { relaxedSimd } from 'wasm-feature-detect';

const relaxed = await relaxedSimd();

async function printedBy(run: () => Promise<unknown>): Promise<string> {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  try {
    await run();
    return log.mock.calls.map((call) => call.map(String).join(' ')).join('\n');
  } finally {
    log.mockRestore();
  }
}

function expectNumbers(printed: string): void {
  expect(printed).toMatch(/\d/);
  expect(printed).not.toMatch(/NaN|Infinity|undefined|\[object /);
}

test('the quickstart runs', async () => {
  const printed = await printedBy(() => import('virtual:quickstart/auto'));
  expectNumbers(printed);
  expect(printed).toContain('trainable params: 256 || all params: 4,738 || trainable%: 5.4031');
  expect(Number(/loss (\S+)$/.exec(printed)?.[1])).toBeLessThan(0.1);
});

test('the quickstart runs with the simd kernels', async () => {
  expectNumbers(await printedBy(() => import('virtual:quickstart/simd')));
});

test.skipIf(!relaxed)('the quickstart runs with the relaxed-simd kernels', async () => {
  expectNumbers(await printedBy(() => import('virtual:quickstart/relaxed-simd')));
});

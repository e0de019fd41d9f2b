/**
 * What only a page can show: the built package finds its kernels over HTTP, takes the browser's platform file, and trains
 * with each kernel build. The other suites of this project run the same files as Node does.
 */
import { createRuntime, crossEntropy, Linear, LoraModel, ReLU, Sequential, SGD, sum } from 'lora-wasm';
import { describe, expect, test } from 'vitest';
import { relaxedSimd } from 'wasm-feature-detect';

const relaxed = await relaxedSimd();

test('this is a page in a real browser', () => {
  expect(typeof window).toBe('object');
  expect(navigator.userAgent).toMatch(/Chrome|Firefox|Safari/);
});

test('auto takes the relaxed kernels, which only WebKit lacks', async () => {
  using rt = await createRuntime();
  expect(rt.info()).toMatchObject({ kernels: relaxed ? 'relaxed-simd' : 'simd', platform: 'browser' });
  expect(relaxed || !/Chrome|Firefox/.test(navigator.userAgent)).toBe(true);
});

describe.each(['simd', 'relaxed-simd'] as const)('%s kernels', (kernels) => {
  const lacking = kernels === 'relaxed-simd' && !relaxed;

  test.skipIf(lacking)('an adapter learns and the base stays', async () => {
    using rt = await createRuntime({ kernels, seed: 1 });
    expect(rt.info()).toMatchObject({ kernels, platform: 'browser' });
    const net = new Sequential(new Linear(rt, 13, 32), new ReLU(), new Linear(rt, 32, 5));
    const before = net.stateDict();
    const lora = LoraModel.attach(net, { r: 4, loraAlpha: 8, targetModules: ['0', '2'] });
    const optimizer = new SGD(lora.trainableParameters(), { lr: 0.2 });
    const x = rt.normal([20, 13]);
    const labels = rt.tensor(Int32Array.from({ length: 20 }, (_, i) => i % 5));
    const losses = Array.from({ length: 50 }, () =>
      rt.scope(() => {
        optimizer.zeroGrad();
        const loss = crossEntropy(lora.forward(x), labels);
        loss.backward();
        optimizer.step();
        return loss.item();
      }),
    );
    expect(losses.at(-1)).toBeLessThan(0.7 * losses[0]!);
    const after = lora.stateDict();
    for (const [name, { data }] of before) expect(after.get(name)?.data).toEqual(data);
  });

  test.skipIf(lacking)('kernels come as bytes and as a URL', async () => {
    const url = new URL(`/build/${kernels}.wasm`, location.href);
    const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
    for (const wasm of [url, bytes, await WebAssembly.compile(bytes)]) {
      using rt = await createRuntime({ kernels, wasm });
      expect(sum(rt.tensor([1, 2, 3])).item()).toBe(6);
    }
  });
});

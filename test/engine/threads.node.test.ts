/** The same bits for every count of threads. Ends and crashes of workers: `workers.node.test.ts`. */
import { describe, expect, test } from 'vitest';
import { relaxedSimd } from 'wasm-feature-detect';
import {
  AdamW,
  causalAttention,
  checkpoint,
  createRuntime,
  Linear,
  LoraLayer,
  LoraModel,
  linear,
  linearCrossEntropy,
  mseLoss,
  type Runtime,
  rmsNorm,
  rotaryTable,
  rotate,
  Sequential,
  swiglu,
} from '../../src/index.js';

const relaxed = await relaxedSimd();
const LEVELS = relaxed ? (['simd', 'relaxed-simd'] as const) : (['simd'] as const);
const COUNTS = [1, 2, 3];

/** Gives what `body` returns for each count of threads. */
async function onEach<T>(kernels: 'simd' | 'relaxed-simd', body: (rt: Runtime) => T): Promise<T[]> {
  const results: T[] = [];
  for (const threads of COUNTS) {
    using rt = await createRuntime({ kernels, threads, seed: 5 });
    expect(rt.info().threads).toBe(threads);
    results.push(body(rt));
  }
  return results;
}

/** As `toEqual`, which is slow for millions of elements; NaN is no number here. */
function expectSameBits(found: Float32Array | Int32Array, wanted: Float32Array | Int32Array): void {
  expect(found.length).toBe(wanted.length);
  const [a, b] = [found, wanted].map(({ buffer }) => new Int32Array(buffer));
  expect(a!.findIndex((bits, i) => bits !== b![i])).toBe(-1);
  expect(wanted.findIndex((value) => !Number.isFinite(value))).toBe(-1);
}

describe.each(LEVELS)('%s: the same bits for 1, 2 and 3 threads', (kernels) => {
  test.each([
    [1, 1999, 1023],
    [7, 1000, 1024],
    [23, 301, 517],
    [24, 300, 600],
    [65, 257, 259],
    [301, 77, 513],
    [640, 130, 96],
  ])('forward and backward, M=%i N=%i K=%i', async (M, N, K) => {
    const found = await onEach(kernels, (rt) => {
      const x = rt.normal([M, K]);
      const weight = rt.normal([N, K]);
      const bias = rt.normal([N]);
      for (const tensor of [x, weight, bias]) tensor.requiresGrad = true;
      const y = linear(x, weight, bias);
      mseLoss(y, rt.normal([M, N])).backward();
      return [y, x.grad!, weight.grad!, bias.grad!].map((tensor) => tensor.toArray());
    });
    for (const other of found.slice(1))
      for (const [i, array] of other.entries()) expectSameBits(array, found[0]![i]!);
    for (const array of found[0]!) expect(array.some((value) => value !== 0)).toBe(true);
  });

  test.each([
    [1, 200, 200, 9, 3, 64],
    [2, 131, 150, 4, 2, 20],
    [1, 1, 700, 8, 4, 64],
  ])('attention, B=%i T=%i S=%i heads=%i of %i, D=%i', async (B, T, S, heads, kvHeads, D) => {
    const found = await onEach(kernels, (rt) => {
      const { pool } = rt.engine.threading;
      if (pool !== null) pool.eager = true;
      const q = rt.normal([B, T, heads * D]);
      const [k, v] = [rt.normal([B, S, kvHeads * D]), rt.normal([B, S, kvHeads * D])];
      for (const tensor of [q, k, v]) tensor.requiresGrad = true;
      const y = causalAttention(q, k, v, { heads, kvHeads, offset: S - T });
      mseLoss(y, rt.normal(y.shape)).backward();
      return [y, q.grad!, k.grad!, v.grad!].map((tensor) => tensor.toArray());
    });
    for (const other of found.slice(1))
      for (const [i, array] of other.entries()) expectSameBits(array, found[0]![i]!);
    for (const array of found[0]!) expect(array.some((value) => value !== 0)).toBe(true);
  });

  test.each([
    [1, 7, 3, 12],
    [3, 50, 2, 20],
    [2, 131, 9, 64],
  ])('normalisation, rotation and gate, B=%i T=%i heads=%i D=%i', async (B, T, heads, D) => {
    const shared: string[][] = [];
    const found = await onEach(kernels, (rt) => {
      const { pool } = rt.engine.threading;
      const names: string[] = [];
      shared.push(names);
      if (pool !== null) {
        pool.eager = true;
        const run = pool.run.bind(pool);
        pool.run = (kernel, ...rest) => {
          names.push(kernel);
          run(kernel, ...rest);
        };
      }
      const [x, gate] = [rt.normal([B, T, heads * D]), rt.normal([B, T, heads * D])];
      const weight = rt.normal([heads * D]);
      const positions = Int32Array.from({ length: B * T }, (_, i) => (7 * i) % (T + 3));
      const table = rotaryTable(rt, { headDim: D, length: T + 3, theta: 100 });
      for (const tensor of [x, gate, weight]) tensor.requiresGrad = true;
      const turned = rotate(rotate(rmsNorm(x, weight), table), table, positions);
      const y = swiglu(gate, turned);
      mseLoss(y, rt.normal(y.shape)).backward();
      return [y, x.grad!, gate.grad!, weight.grad!].map((tensor) => tensor.toArray());
    });
    for (const other of found.slice(1))
      for (const [i, array] of other.entries()) expectSameBits(array, found[0]![i]!);
    expect(shared[0]).toEqual([]);
    const wanted = ['rmsNormForward', 'rotate', 'rotate', 'swigluForward', 'swigluBackwardUp'];
    const back = ['swigluBackwardGate', 'rotate', 'rotate', 'rmsNormBackwardGamma', 'rmsNormBackward'];
    for (const names of shared.slice(1)) expect(names).toEqual([...wanted, ...back]);
  });

  test('attention of packed rows behind a window', async () => {
    const [T, heads, D] = [300, 6, 32];
    const starts = Int32Array.from({ length: T }, (_, t) => [0, 7, 90, 211].findLast((start) => start <= t)!);
    const found = await onEach(kernels, (rt) => {
      const { pool } = rt.engine.threading;
      if (pool !== null) pool.eager = true;
      const [q, k, v] = [heads, 2, 2].map((n) => rt.normal([1, T, n * D]));
      for (const tensor of [q!, k!, v!]) tensor.requiresGrad = true;
      const y = causalAttention(q!, k!, v!, { heads, kvHeads: 2, starts, window: 70 });
      mseLoss(y, rt.normal(y.shape)).backward();
      return [y, q!.grad!, k!.grad!, v!.grad!].map((tensor) => tensor.toArray());
    });
    for (const other of found.slice(1))
      for (const [i, array] of other.entries()) expectSameBits(array, found[0]![i]!);
  });

  test('the loss of a head by chunks, its weight or its adapter trained, inside a checkpoint too', async () => {
    const labels = Int32Array.from({ length: 200 }, (_, i) => (i % 9 === 2 ? -100 : (i * 31) % 517));
    const found = await onEach(kernels, (rt) => {
      const { pool } = rt.engine.threading;
      if (pool !== null) pool.eager = true;
      const [hidden, weight] = [rt.normal([200, 96]), rt.normal([517, 96], 0.1)];
      for (const tensor of [hidden, weight]) tensor.requiresGrad = true;
      const options = { r: 4, loraDropout: 0.2, initLoraWeights: false } as const;
      const layer = LoraLayer.from(new Linear(rt, 96, 517), options);
      const { A, B } = layer.factors('default');
      const square = rt.normal([96, 96], 0.1);
      const losses = [
        linearCrossEntropy(hidden, weight, labels),
        linearCrossEntropy(hidden, layer, labels, { reduction: 'sum' }),
        linearCrossEntropy(
          checkpoint((x) => linear(x, square), hidden),
          weight,
          labels,
        ),
      ];
      for (const loss of losses) loss.backward();
      return [...losses, ...[hidden, weight, A, B].map((tensor) => tensor.grad!)].map((t) => t.toArray());
    });
    for (const other of found.slice(1))
      for (const [i, array] of other.entries()) expectSameBits(array, found[0]![i]!);
  });

  test('training steps with two adapters, and memory that grows on the way', async () => {
    const found = await onEach(kernels, (rt) => {
      const net = new Sequential(new Linear(rt, 200, 333), new Linear(rt, 333, 120));
      const config = { r: 5, loraAlpha: 10, targetModules: ['0', '1'], initLoraWeights: false } as const;
      const lora = LoraModel.attach(net, config, 'one');
      lora.addAdapter('two', { ...config, r: 3, loraDropout: 0.1 });
      lora.setAdapter(['one', 'two']);
      const optimizer = new AdamW(lora.trainableParameters(), { lr: 0.01 });
      const [x, target] = [rt.normal([90, 200]), rt.normal([90, 120])];
      const losses = Array.from({ length: 6 }, (_, i) =>
        rt.scope(() => {
          rt.zeros([(i + 1) * 3_000_000]);
          optimizer.zeroGrad();
          const loss = mseLoss(lora.forward(x), target);
          loss.backward();
          optimizer.step();
          return loss.item();
        }),
      );
      return [losses, [...lora.trainableParameters()].map((parameter) => parameter.toArray())];
    });
    for (const other of found.slice(1)) expect(other).toEqual(found[0]);
    const losses = found[0]![0] as number[];
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
  });
});
